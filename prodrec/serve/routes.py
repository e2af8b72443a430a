"""The routes that recognise, search, and keep corrections. No route reads a path or an address from a request."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from prodrec.core.base.taxonomy import PATH_SEPARATOR
from prodrec.serve.engine import Answered, Box, ProductIndex, Question, hit_values, match_values, product_values
from prodrec.serve.failures import Refused
from prodrec.serve.schemas import (
    ClassPaths,
    Correction,
    HitValues,
    ProductValues,
    Recognition,
    SearchResult,
    SimilarProducts,
)
from prodrec.serve.service import Service
from prodrec.serve.uploads import (
    FIELD_BYTES,
    FORM,
    PHOTO_FILE,
    PHOTOS_BODY,
    SEARCH_BODY,
    read_form,
    read_photos,
    read_words,
)

router, index_router = APIRouter(prefix="/v1"), APIRouter(prefix="/v1")
"""The routes of every service, and those of one with an index of products."""
BOX = r"^(0|1|0?\.\d{1,9}|1\.0{1,9})(,(0|1|0?\.\d{1,9}|1\.0{1,9})){3}$"
MAX_TITLE = 500

Top = Annotated[int, Query(ge=1, le=100, description="Number of classes of every level, and of products.")]
BoxText = Annotated[
    str | None,
    Query(
        pattern=BOX,
        description="The part of each photo to look at: left,top,right,bottom as shares of its width and height.",
        examples=["0.1,0.2,0.9,1"],
    ),
]
Sku = Annotated[str, Path(max_length=500, description="Id of a product.")]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    if not service.is_ready:
        raise Refused(503, "The service is stopping: try again in 5 s.", {"Retry-After": "5"})
    return service


Served = Annotated[Service, Depends(_service)]


@router.post("/recognise", response_model=Recognition, openapi_extra={"requestBody": PHOTOS_BODY})
async def recognise(
    request: Request,
    service: Served,
    top: Top = 5,
    box: BoxText = None,
    min_confidence: Annotated[float, Query(ge=0, le=1, description="Smallest probability of an answer.")] = 0.0,
    precision: Annotated[
        float | None, Query(ge=0, le=1, description="Share of the answers that shall be right, by validation photos.")
    ] = None,
    pool: Annotated[bool, Query(description="The photos show one product: one result.")] = False,
    explain: Annotated[bool, Query(description="Add where the network looks.")] = False,
) -> JSONResponse:
    """Recognise photos: category path with probabilities, attributes, nearest products, and why."""
    question = Question(top, min_confidence, precision, pool, explain)
    answered, envelope = await _ask(request, service, question, box)
    return JSONResponse({"results": answered.results, **envelope})


@index_router.post("/search", response_model=SearchResult, openapi_extra={"requestBody": SEARCH_BODY})
async def search(request: Request, service: Served, top: Top = 5, box: BoxText = None) -> JSONResponse:
    """Find the products of the index that look most similar to photos, or that words describe best."""
    started, words = time.monotonic(), await read_words(request)
    if words is None:
        answered, envelope = await _ask(request, service, Question(top), box)
        return JSONResponse({"results": [result["products"] for result in answered.results], **envelope})
    if box is not None:
        raise Refused(400, f"box={box} is about photos, and the request has words.")
    index = _index(service)
    matches = await service.in_thread(lambda: index.with_words(words, top))
    taken = round(1000 * (time.monotonic() - started), 2)
    return JSONResponse(
        {
            "results": [[match_values(match) for match in matches]],
            "run": service.engine.run,
            "index": {"version": index.version},
            "timing": {"decode_ms": 0.0, "network_ms": 0.0, "total_ms": taken},
        }
    )


async def _ask(
    request: Request, service: Service, question: Question, box: str | None
) -> tuple[Answered, dict[str, Any]]:
    """Return the results of the photos of a request, and the keys that every answer about photos has."""
    started = time.monotonic()
    part = _box(box)
    photos = await read_photos(request, most=service.limits.max_photos)
    request.state.photos = len(photos)
    answered, timing = await service.recognise(photos, question, box=part)
    request.state.batch_ms = timing["network_ms"]
    return answered, {
        "run": service.engine.run,
        "index": None if answered.index_version is None else {"version": answered.index_version},
        "timing": {**timing, "total_ms": round(1000 * (time.monotonic() - started), 2)},
    }


def _box(text: str | None) -> Box | None:
    if text is None:
        return None
    left, top, right, bottom = (float(share) for share in text.split(","))
    if not (left < right and top < bottom):
        raise Refused(400, f"box={text} is empty: expected left < right and top < bottom.")
    return left, top, right, bottom


# --- the index of products


@index_router.get(
    "/products/{sku:path}/photo", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}}
)
async def product_photo(
    service: Served,
    sku: Sku,
    photo: Annotated[int, Query(ge=0, le=1_000_000, description="Number of the photo, from 0.")] = 0,
) -> Response:
    """Return a small photo of a product, as JPEG."""
    index = _index(service)
    data = await service.in_thread(lambda: index.thumbnail(sku, photo))
    if data is None:
        raise Refused(404, f"The index has no photo {photo} of product {_shown(sku)}.")
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "max-age=60"})


@index_router.get("/products/{sku:path}", response_model=ProductValues)
async def product(service: Served, sku: Sku) -> JSONResponse:
    """Return a product: title, category path, tags, number of photos."""
    index = _index(service)
    found = await service.in_thread(lambda: index.product(sku))
    if found is None:
        raise _unknown(sku)
    return JSONResponse(product_values(found))


@index_router.get("/similar/{sku:path}", response_model=SimilarProducts)
async def similar(service: Served, sku: Sku, top: Top = 5) -> JSONResponse:
    """Find the products that look most similar to a product."""
    index = _index(service)
    if await service.in_thread(lambda: index.product(sku)) is None:
        raise _unknown(sku)
    hits = await service.in_thread(lambda: index.similar(sku, top))
    products: list[HitValues] = [hit_values(hit) for hit in hits]  # type: ignore[misc]
    return JSONResponse({"products": products, "index": {"version": index.version}})


def _index(service: Service) -> ProductIndex:
    index = service.engine.index
    assert index is not None  # `create_app` adds these routes only then
    return index


def _unknown(sku: str) -> Refused:
    return Refused(404, f"The index has no product {_shown(sku)}.")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


# --- corrections


@router.get("/classes", response_model=ClassPaths)
async def classes(
    service: Served,
    words: Annotated[str, Query(max_length=200, description="A part of the names.")] = "",
    top: Top = 5,
) -> JSONResponse:
    """List classes of the deepest level whose names contain a text."""
    paths = await service.in_thread(lambda: service.engine.classes(words, top))
    return JSONResponse({"paths": [list(path) for path in paths]})


CORRECTION_BODY = {
    "required": True,
    "content": {
        FORM: {
            "schema": {
                "type": "object",
                "required": ["photo", "path"],
                "properties": {
                    "photo": PHOTO_FILE,
                    "path": {"type": "string", "description": "The right category path, as `Shoes / Sneakers`."},
                    "title": {"type": "string"},
                    "box": {"type": "string", "description": "The part of the photo that shows the product."},
                },
            }
        }
    },
}


@router.post("/corrections", response_model=Correction, status_code=201, openapi_extra={"requestBody": CORRECTION_BODY})
async def correct(request: Request, service: Served) -> JSONResponse:
    """Keep a photo with its right class, for the next `prodrec prepare` or `prodrec index update`."""
    corrections = service.corrections
    if corrections is None:
        raise Refused(404, "The service keeps no corrections: start it with --corrections corrections.csv.")
    if not request.headers.get("content-type", "").lower().startswith(FORM):
        raise Refused(415, f"Expected {FORM} with the fields photo and path.")
    photos, fields = await read_form(request, most=1)
    path = tuple(name.strip() for name in fields.get("path", "")[:FIELD_BYTES].split(PATH_SEPARATOR))
    if not photos or not photos[0] or not any(path):
        raise Refused(400, "The form lacks the file photo or the field path.")
    if not service.engine.has_class(path):
        shown = _shown(fields["path"])
        raise Refused(400, f"The run has no class {shown}; /v1/classes lists the paths of classes.")
    box = fields.get("box") or None
    if box is not None and not re.match(BOX, box):
        raise Refused(400, "The field box is not left,top,right,bottom with shares from 0 to 1.")
    title = " ".join(fields.get("title", "").split())[:MAX_TITLE]
    jpeg = await service.in_thread(lambda: service.engine.encode(photos[0], _box(box)))
    row = await service.in_thread(lambda: corrections.add(jpeg, path, title=title))
    return JSONResponse({"id": row}, 201)
