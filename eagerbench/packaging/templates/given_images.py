import numpy as np
from PIL import Image
from verify import MANIFEST

GIVEN, IMAGE = "image files", MANIFEST["image"]


def pixels(file):
    """An image as the model was trained on it: (channels, height, width)."""
    image = Image.open(file).convert("RGB")
    if IMAGE["shortest_edge"]:
        size = [IMAGE["shortest_edge"] * side // min(image.size) for side in image.size]
        image = image.resize(size, IMAGE["resample"])
    elif IMAGE["size"]:
        image = image.resize(IMAGE["size"], IMAGE["resample"])
    if IMAGE["crop"]:
        left, top = ((side - wanted) // 2 for side, wanted in zip(image.size, IMAGE["crop"], strict=True))
        image = image.crop((left, top, left + IMAGE["crop"][0], top + IMAGE["crop"][1]))
    scaled = np.asarray(image, np.float32) * np.float32(IMAGE["rescale"])
    return ((scaled - np.float32(IMAGE["mean"])) / np.float32(IMAGE["std"])).transpose(2, 0, 1)


def prepare(given):
    """Paths of images."""
    return {MANIFEST["inputs"][0]["name"]: np.ascontiguousarray(np.stack([pixels(file) for file in given]))}
