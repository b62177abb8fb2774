"""The module itself with SDPA, which transformers takes by default: `loop_torch.py DIRECTORY INPUTS.npz`."""

import sys

import clock
import numpy as np
import torch
from transformers import AutoModel

torch.set_num_threads(clock.THREADS)
model = AutoModel.from_pretrained(sys.argv[1], attn_implementation="sdpa").eval()
model.config.use_cache = False
inputs = {name: torch.from_numpy(array) for name, array in np.load(sys.argv[2]).items()}
with torch.inference_mode():
    clock.run(lambda: model(**inputs), "torch", "transformers")
