"""Load a finished run to recognise photos, or its network alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch
from prodrec.core.base.scoring_views import CENTRE, SCORING_VIEWS
from prodrec.pipeline.engines import check_engine_device, choose_engine, run_by_engine
from prodrec.pipeline.scoring_targets import find_run, operating_points_of

if TYPE_CHECKING:
    import torch

    from prodrec.core.training.run import Run
    from prodrec.inference.calibration import Calibration
    from prodrec.inference.neighbours.fused import Neighbours
    from prodrec.inference.neighbours.operating_points import OperatingPoint
    from prodrec.inference.recognise import Recogniser
    from prodrec.models.families import Recipe
    from prodrec.models.network import RecognitionNetwork


def load(
    run: str | Path,
    *,
    operating_point: str | None = None,
    no_neighbours: bool = False,
    views: str = CENTRE,
    device: str = "auto",
    engine: str = TORCH,
    titles: bool = False,
) -> Recogniser:
    """Open a finished run and return it ready to recognise photos: `load("runs/sicot").predict("shoe.jpg")`.

    Args:
        run: run directory, or the name of a run in `runs/`.
        operating_point: natural (best on photos as they come), balanced (best where all classes matter equally), plain
            (the classifier alone), default-natural or default-balanced, as in `score`; None is natural.
        no_neighbours: do not let the nearest training photos vote.
        views: views of every photo whose scores are averaged: centre, flip or five-crop, as in `score`.
        device: auto, cpu, cuda or cuda:N.
        engine: torch, onnx or openvino (on the CPU), or the directory of an export of the run, which computes the
            features of photos. Scores agree with those of torch up to rounding, unless the export has 8 bits.
        titles: require a run that was trained with titles.

    Raises:
        NotFound: if there is no such run.
        BadArtefact: if the run is unfinished or damaged.
        BadOption: if the run was trained on feature vectors, or lacks titles or operating points that the arguments
            require; for an unknown engine, and one that is not installed.
        Mismatch: if the export is that of another run.
    """
    from prodrec.core.base.device import choose_device
    from prodrec.core.training.run import open_run
    from prodrec.inference.neighbours.fused import FusedNetwork, PointNetwork
    from prodrec.inference.recognise import Recogniser
    from prodrec.models.families import Recipe

    if views not in SCORING_VIEWS:
        raise BadOption(f"views={views!r}: expected {', '.join(SCORING_VIEWS)}.")
    path = find_run(Path(run))
    opened = open_run(path)
    opened.require_finished()
    if opened.feature_width is not None:
        raise BadOption(f"{path} was trained on feature vectors, not photos: it cannot recognise photo files.")
    recipe = Recipe.from_json(opened.recipe, source=str(path))
    if titles and recipe.network.titles is None:
        raise BadOption(f"--title: {path} was trained on photos alone and does not use titles; omit --title.")
    chosen = choose_engine(engine, opened)
    target, arithmetic = choose_device(check_engine_device(engine, device)), opened.header["arithmetic"]
    channels_last = bool(arithmetic["channels_last"])
    point, titled_point = (
        operating_points_of(
            opened, operating_point, neighbours=not no_neighbours, with_titles=with_titles, only_one=True
        )[0]
        for with_titles in (False, True)
    )
    bfloat16 = arithmetic["dtype"] == "bfloat16"
    network = load_network(opened, recipe, target, channels_last=channels_last)
    run_by_engine(chosen, network, recipe.photos, bfloat16=bfloat16)
    voting = next((one for one in (point, titled_point) if one.beta), None)
    fused = FusedNetwork(network, load_neighbours(opened, voting, target) if voting else None)
    return Recogniser(
        opened,
        PointNetwork(fused, point, titled_point),
        recipe.photos,
        target,
        bfloat16=bfloat16,
        channels_last=channels_last,
        views=views,
        calibration=load_calibration(opened, point) if views == CENTRE else None,
        normalise=chosen.is_torch,
    )


def load_calibration(run: Run, point: OperatingPoint) -> Calibration | None:
    """Return the calibration of a run at an operating point; None if there is none, or for other voters.

    Raise BadArtefact for a damaged file.
    """
    from prodrec.inference.calibration import CALIBRATION_FILE, read_calibrations

    path = run.path / CALIBRATION_FILE
    if not path.is_file():
        return None
    calibration = read_calibrations(path, run_fingerprint=run.fingerprint).get(point.name)
    voters = point.voters if point.beta else ""
    return calibration if calibration is not None and calibration.voters == voters else None


def load_network(
    run: Run, recipe: Recipe, device: torch.device, *, channels_last: bool = False, divided: bool = False
) -> RecognitionNetwork:
    """Return the network of a finished run on `device`, in evaluation mode, with its batch norms folded.

    channels_last: use the channels-last memory layout for convolutions
    divided:       load only this rank's shard of the classes of the deepest level

    Raise BadArtefact if the weights do not fit the recipe.
    """
    import torch

    from prodrec.core.training.fold_batch_norms import fold_batch_norms
    from prodrec.core.training.sampler import sampled_images
    from prodrec.models.assemble import restore_network

    try:
        network = restore_network(
            recipe.network,
            run.weights(),
            taxonomy=run.taxonomy,
            attributes=run.attributes,
            photo_size=(recipe.photos.height, recipe.photos.width),
            feature_width=run.feature_width,
            sharded=divided,
        )
    except Mismatch as error:
        raise BadArtefact(f"{run.path}: {error}") from error
    images, sampler = run.prior_images_by_level, recipe.training.sampler
    sampled = None if sampler == "images" else sampled_images(run.train_images_by_level, run.taxonomy, sampler)
    network.set_train_images(images, sampled)
    if run.origin is not None and "logit_adjustment" in run.origin:  # the other levels keep the prior of the training
        head = network.level_heads[-1]
        head.classifier.logit_adjustment = run.origin["logit_adjustment"]
        head.classifier.set_prior(torch.tensor(images[head.level]))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.to(device=device, memory_format=layout).eval()  # type: ignore[call-overload]
    fold_batch_norms(network)
    return network


def load_neighbours(run: Run, point: OperatingPoint, device: torch.device, *, sharded: bool = False) -> Neighbours:
    """Return the training photos of a run that vote at an operating point, on `device`.

    sharded: divide their vectors among the ranks

    Raise NotFound, or BadArtefact if the file is damaged or is not that for which the point was chosen.
    """
    from prodrec.inference.neighbours.fused import Neighbours
    from prodrec.inference.neighbours.training_features import NEIGHBOURS_FILE, read_training_features

    features = read_training_features(run.path / NEIGHBOURS_FILE, run_fingerprint=run.fingerprint)
    if features.fingerprint != point.voters:
        raise BadArtefact(
            f"{run.path / NEIGHBOURS_FILE} and the operating points of the run do not belong together; make both again "
            f"with `prodrec neighbours {run.path}`."
        )
    return Neighbours.load(features, run.taxonomy.count(features.level), device, sharded=sharded)
