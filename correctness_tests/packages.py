"""Packages for tests: tiny models with tokenizers, and an empty environment of a package's own requirements."""

import importlib.metadata
import json
import os
import subprocess
import venv
from pathlib import Path

import torch
import transformers
from running import Ended

from eagerbench import cli

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "a", "cat", "dog", "sleeps", "barks", "river", "old", "new", "when",
         "does", "what", "how", "is", "end", *(f"##{letter}" for letter in LETTERS), *LETTERS, ".", ",", "?"]
OPTIONS = ("--threads", "1", "--workload", "4x32")
LABELS = {0: "calm", 1: "loud", 2: "neither"}


def package(variant: str, model: object, output: Path, *options: str) -> int:
    """Exit code of the command; the inputs are small."""
    return cli.main(["package", variant, "--model", str(model), "-o", str(output), *OPTIONS, *options])


def manifest_of(directory: Path) -> dict:
    return json.loads((directory / "manifest.json").read_text())


def save(directory: Path, kind: str, **more) -> Path:
    """A tiny BERT of a class, whose tokenizer cuts words that it does not know into letters."""
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                                     intermediate_size=64, max_position_embeddings=64, initializer_range=0.2, **more)
    getattr(transformers, kind)(config).save_pretrained(directory)
    (directory / "vocab.txt").write_text("\n".join(WORDS))
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return directory


def labels(count: int = 3) -> dict:
    named = dict(list(LABELS.items())[:count])
    return {"id2label": named, "label2id": {name: number for number, name in named.items()}}


def save_sentences(directory: Path) -> Path:
    """A sentence-transformers directory: two pooling modes, a dense layer, normalised."""
    from safetensors.torch import save_file

    save(directory, "BertModel")
    torch.manual_seed(1)
    layer = torch.nn.Linear(64, 16)
    modules = {"Transformer": "", "Pooling": "1_Pooling", "Dense": "2_Dense", "Normalize": "3_Normalize"}
    files = {"modules.json": [{"idx": place, "name": str(place), "path": path,
                               "type": f"sentence_transformers.models.{kind}"}
                              for place, (kind, path) in enumerate(modules.items())],
             "sentence_bert_config.json": {"max_seq_length": 20, "do_lower_case": True},
             "config_sentence_transformers.json": {"prompts": {"usual": "the cat is ", "query": "what is "},
                                                   "default_prompt_name": "usual"},
             "1_Pooling/config.json": {"embedding_dimension": 32, "pooling_mode": ["cls", "mean"],
                                       "include_prompt": False},
             "2_Dense/config.json": {"in_features": 64, "out_features": 16, "bias": True,
                                     "activation_function": "torch.nn.modules.activation.Tanh"}}
    for name, content in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(json.dumps(content))
    save_file({f"linear.{name}": tensor for name, tensor in layer.state_dict().items()},
              directory / "2_Dense" / "model.safetensors")
    (directory / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    return directory


def environment(directory: Path, requirements: Path) -> Path:
    """The Python of an environment with nothing but what a package requires: links to the installed distributions."""
    venv.create(directory, with_pip=False, symlinks=True)
    (site,) = directory.glob("lib/python*/site-packages")
    for line in requirements.read_text().splitlines():
        name, _, version = line.partition("==")
        installed = importlib.metadata.distribution(name)
        assert installed.version.partition("+")[0] == version
        for top in {file.parts[0] for file in installed.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            place = site / top
            source = Path(str(installed.locate_file(top)))
            if not place.exists() and source.exists():
                place.symlink_to(source)
    return directory / "bin" / "python"


def load(python: Path | str, package: Path, *arguments: str, **variables: str) -> Ended:
    """`load.py` in a process without any path of this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "EAGERBENCH"))}
    done = subprocess.run([str(python), "-B", str(package / "load.py"), *arguments], capture_output=True, text=True,
                          env={**kept, **variables}, check=False, timeout=300, cwd="/")
    return Ended(done.returncode, done.stdout, done.stderr)


def run(python: Path | str, package: Path, code: str) -> Ended:
    """Python code in the package's directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "EAGERBENCH"))}
    done = subprocess.run([str(python), "-B", "-c", code], capture_output=True, text=True, env=kept, check=False,
                          timeout=300, cwd=package)
    return Ended(done.returncode, done.stdout, done.stderr)
