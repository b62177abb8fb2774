from verify import SESSION


def build(torch, example):
    return loaded(torch).to(getattr(torch, SESSION["settings"]["dtype"]))
