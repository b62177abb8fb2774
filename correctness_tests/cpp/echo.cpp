// A runner without a runtime, for tests: its outputs are its inputs. An input with one of these names makes it …
#include <iostream>

#include "runner.hpp"

namespace {

class Runtime {
    npy::Arrays found_;

  public:
    static constexpr const char* name = "echo";

    using Native = npy::Arrays;

    static std::string version() { return "1.2.3+local"; }

    explicit Runtime(const runner::Config& config) { config.artifact(); }

    static Native prepare(const npy::Arrays& arrays) { return arrays; }

    void call(Native& native) {
        for (const auto& [input, array] : native) {
            if (input == "print") std::cout << "took 1\nready\n" << std::flush;
            if (input == "fail") throw std::runtime_error("two\nlines");
            if (input == "die") std::abort();
        }
        found_ = native;
    }

    npy::Arrays outputs() const { return found_; }

    static int threads() { return 7; }

    static std::string facts() { return "a=1\tb=two words\nc=\n"; }
};

}  // namespace

int main(int argc, char** argv) { return runner::run<Runtime>(argc, argv); }
