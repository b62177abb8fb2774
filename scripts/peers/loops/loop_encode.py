"""sentence-transformers' encode on the lines of a file: `loop_encode.py DIRECTORY TEXTS`."""

import sys
from pathlib import Path

import clock
import torch
from sentence_transformers import SentenceTransformer

torch.set_num_threads(clock.THREADS)
encoder = SentenceTransformer(sys.argv[1], device="cpu", local_files_only=True)
texts = Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()
clock.run(lambda: encoder.encode(texts, batch_size=len(texts), show_progress_bar=False), "sentence-transformers",
          "transformers", "torch")
