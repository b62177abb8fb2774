"""OpenVINO: `loop_openvino.py MODEL.xml INPUTS.npz`."""

import sys

import clock

sys.modules["openvino_telemetry"] = None
import numpy as np  # noqa: E402
import openvino  # noqa: E402

compiled = openvino.Core().compile_model(sys.argv[1], "CPU", {
    "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": clock.THREADS,
    "INFERENCE_PRECISION_HINT": "f32"})
request = compiled.create_infer_request()
inputs = dict(np.load(sys.argv[2]))
clock.run(lambda: request.infer(inputs, share_inputs=True, share_outputs=True), "openvino")
