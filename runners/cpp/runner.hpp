// What every runner has in common: runner.txt, its command line, and `--check` against files.
//
// A runner's source gives a class Runtime with
//   static constexpr const char* name;         as `runtime=` in runner.txt names it
//   static std::string version();              of the library that is loaded
//   explicit Runtime(const runner::Config&);   loads the artifact
//   using Native;                              inputs as this runtime's users hold them
//   Native prepare(const npy::Arrays&);
//   void call(Native&);                        the only thing that is timed
//   npy::Arrays outputs();                     of the last call
//   int threads();
//   std::string facts();                       what a probe asks for, as lines of key=value
#pragma once

#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>

#include <cmath>
#include <cstdlib>
#include <memory>

#include "serve.hpp"

namespace runner {

constexpr int WRONG = 1, USAGE = 2, NOT_HERE = 3;

// Something that the runner needs is not here, or is of another version.
struct NotHere : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// DIR/runner.txt: lines of key=value; empty lines and those that begin with # say nothing.
struct Config {
    std::filesystem::path directory;
    std::map<std::string, std::string> values;

    explicit Config(std::filesystem::path where) : directory(std::move(where)) {
        std::ifstream file(directory / "runner.txt");
        if (!file) throw NotHere((directory / "runner.txt").string() + ": no such file");
        for (std::string line; std::getline(file, line);) {
            const auto split = line.find('=');
            if (!line.empty() && line[0] != '#' && split != std::string::npos)
                values[line.substr(0, split)] = line.substr(split + 1);
        }
    }

    std::string text(const std::string& key, const std::string& otherwise = "") const {
        const auto found = values.find(key);
        return found == values.end() ? otherwise : found->second;
    }

    double number(const std::string& key, double otherwise) const {
        const std::string given = text(key);
        return given.empty() ? otherwise : std::stod(given);
    }

    int threads() const { return int(number("threads", 1)); }

    // Names with a comma between them.
    std::vector<std::string> names(const std::string& key) const {
        std::vector<std::string> found;
        std::istringstream list(text(key));
        for (std::string name; std::getline(list, name, ',');) found.push_back(name);
        return found;
    }

    std::string artifact() const {
        const auto path = directory / text("artifact");
        if (!std::filesystem::is_regular_file(path)) throw NotHere(path.string() + ": no such file");
        return path.string();
    }
};

// glibc's malloc as the benchmark pins it: it keeps what it has, so that calls stop paying for page faults.
inline void pin_allocator() {
#ifdef __SANITIZE_ADDRESS__
    return;  // the sanitizer has a malloc of its own
#endif
    if (!mallopt(M_MMAP_MAX, 0) || !mallopt(M_TRIM_THRESHOLD, 0x7fffffff) || !mallopt(M_TOP_PAD, 64 << 20))
        throw std::runtime_error("mallopt refused");
}

// The part of a version before `+cpu` and the like.
inline std::string release(const std::string& version) { return version.substr(0, version.find_first_of("+-")); }

inline void require_version(const Config& config, const std::string& name, const std::string& here) {
    const std::string wanted = config.text("version");
    if (config.text("runtime", name) != name)
        throw NotHere("this runner is for " + name + ", runner.txt for " + config.text("runtime"));
    if (!wanted.empty() && release(wanted) != release(here))
        throw NotHere(name + " " + here + " is loaded here, " + wanted + " is what it was measured with");
}

// What is wrong with an output, as numpy.allclose(equal_nan=True) judges; empty where nothing is.
inline std::string difference(const npy::Array& found, const npy::Array& wanted, double rtol, double atol,
                              double& largest) {
    if (found.shape != wanted.shape) return "another shape than expected";
    std::string said;
    for (std::size_t index = 0; index < wanted.items(); ++index) {
        const double here = npy::number(found, index), there = npy::number(wanted, index);
        if (here == there || (std::isnan(here) && std::isnan(there))) continue;
        const double error = std::abs(here - there);
        largest = std::max(largest, error);
        if (said.empty() && !(error <= atol + rtol * std::abs(there))) {
            char text[120];
            std::snprintf(text, sizeof text, "item %zu is %g, expected %g", index, here, there);
            said = text;
        }
    }
    return said;
}

// Run DIR/check/inputs/*.npy and compare with DIR/check/expected/*.npy. Prints a line.
template <class Runtime>
int check(const Config& config) {
    Runtime runtime(config);
    npy::Arrays inputs;
    for (const auto& name : config.names("inputs")) {
        const auto path = config.directory / "check" / "inputs" / (name + ".npy");
        if (!std::filesystem::is_regular_file(path)) throw NotHere(path.string() + ": no such file");
        inputs.emplace_back(name, npy::load(path));
    }
    auto native = runtime.prepare(inputs);
    runtime.call(native);
    const npy::Arrays outputs = runtime.outputs();
    const double rtol = config.number("rtol", 0), atol = config.number("atol", 0);
    double largest = 0;
    for (const auto& name : config.names("outputs")) {
        const auto path = config.directory / "check" / "expected" / (name + ".npy");
        if (!std::filesystem::is_regular_file(path)) throw NotHere(path.string() + ": no such file");
        const std::string wrong = difference(npy::named(outputs, name), npy::load(path), rtol, atol, largest);
        if (!wrong.empty()) {
            std::printf("wrong: %s: %s (rtol %g, atol %g)\n", name.c_str(), wrong.c_str(), rtol, atol);
            return WRONG;
        }
    }
    std::printf("right: %zu outputs by %s %s, largest error %g (rtol %g, atol %g)\n", config.names("outputs").size(),
                Runtime::name, Runtime::version().c_str(), largest, rtol, atol);
    return 0;
}

// The main function of every runner: RUNNER DIR [--check | --serve].
template <class Runtime>
int run(int argc, char** argv) {
    const std::string mode = argc == 3 ? argv[2] : "--check";
    if (argc < 2 || argc > 3 || (mode != "--check" && mode != "--serve")) {
        std::fprintf(stderr, "usage: %s DIR [--check | --serve]\n", argv[0]);
        return USAGE;
    }
    std::unique_ptr<serve::Pipe> pipe;
    if (mode == "--serve") {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        pipe = std::make_unique<serve::Pipe>();
    }
    int code = WRONG;
    std::string said;
    try {
        const Config config(argv[1]);
        require_version(config, Runtime::name, Runtime::version());
        if (config.text("allocator") == "pinned") pin_allocator();
        if (!pipe) return check<Runtime>(config);
        serve::until_closed<Runtime>(config, *pipe);
        return 0;
    } catch (const NotHere& error) {
        code = NOT_HERE;
        said = serve::in_one_line(error.what());
    } catch (const std::exception& error) {
        said = serve::in_one_line(error.what());
    }
    if (pipe) pipe->say("error " + said + "\n");
    else std::printf("%s: %s\n", code == NOT_HERE ? "not here" : "failed", said.c_str());
    return code;
}

}  // namespace runner
