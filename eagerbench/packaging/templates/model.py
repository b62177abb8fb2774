from verify import main, start


class Model:
    """`Model()(given)` returns named numpy arrays. A call at a time: give each thread a model of its own."""

    def __init__(self):
        start()
        self.session = Session()

    def __call__(self, given, **how):
        inputs = prepare(given, **how)
        return finish(self.forward(inputs), inputs)

    def forward(self, inputs):
        return self.session.arrays(self.session.run(self.session.native(inputs)))


if __name__ == "__main__":
    main(Model, GIVEN, show)
