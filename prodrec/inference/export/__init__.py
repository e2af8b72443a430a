"""A finished network as a graph that other software runs, and the engines that run it here.

A graph is a function of photos alone, uint8 [B, 3, H, W] of the size of the network's input, red first. Normalisation
is inside, and B is any number:

    photos ─ (x − 255 mean) / (255 std) ─ network ─► feature ─┬─ heads ─ vote of the neighbours ─► scores_LEVEL
                                                              ├─ head of the attributes ─► attribute_NAME
                                                              └─ classifier's input, of length 1 ─► vector

The scores s of the deepest level at the operating point become calibrated probabilities (`inference/calibration.py`):

    probabilities_LEVEL = softmax(s / T)      that of a class above is the sum of those below it

Photos are decoded, cropped and resized outside. `prepare` stores them as JPEG in its own size, and the network has
learned to see them so; a graph that resizes would compute other pixels than `core/data/photos` does.

    graphs.py          the modules that become graphs, and the names of their outputs
    vote_graph.py      the vote of the neighbours as a part of a graph
    write_onnx.py      a module becomes an ONNX file
    onnx_engine.py     ONNX Runtime
    openvino_engine.py OpenVINO
    engines.py         opens a graph by an engine
    libraries.py       whether their libraries are installed
    quantise.py        numbers of 8 bits
    quiet.py           keeps what libraries print from the terminal
    parity.py          the outputs of a graph compared with those of the run
    server_files.py    labels.json and config.pbtxt, which clients and servers read
    export_file.py     the types of export.json
    exported.py        an export that is opened again
"""
