from verify import SESSION


def build(torch, example):
    """Compiled by inductor, with its options as measured; every size of inputs that it has not seen compiles again."""
    import torch._inductor.config

    for name, value in SESSION["settings"]["inductor"].items():
        setattr(torch._inductor.config, name, value)
    module = loaded(torch).to(getattr(torch, SESSION["settings"]["dtype"]))
    return torch.compile(module, dynamic=SESSION["settings"]["dynamic"])
