"""CTranslate2's encoder on the real tokens of a batch: `loop_ctranslate2.py DIRECTORY INPUTS.npz COMPUTE_TYPE`."""

import sys

import clock
import ctranslate2
import numpy as np

encoder = ctranslate2.Encoder(sys.argv[1], device="cpu", intra_threads=clock.THREADS, inter_threads=1,
                              compute_type=sys.argv[3])
if encoder.compute_type != sys.argv[3]:
    sys.exit(f"ctranslate2 {ctranslate2.__version__} computes in {encoder.compute_type}, {sys.argv[3]} was asked for")
arrays = np.load(sys.argv[2])
rows = [ids[mask == 1].tolist() for ids, mask in zip(arrays["input_ids"], arrays["attention_mask"], strict=True)]
clock.run(lambda: np.array(encoder.forward_batch(rows).last_hidden_state), "ctranslate2")
