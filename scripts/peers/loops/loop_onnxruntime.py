"""ONNX Runtime: `loop_onnxruntime.py MODEL.onnx INPUTS.npz`."""

import sys

import clock
import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = clock.THREADS
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
inputs = dict(np.load(sys.argv[2]))
clock.run(lambda: session.run(None, inputs), "onnxruntime")
