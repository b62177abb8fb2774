// A runner's end of a pipe: requests and answers are lines, arrays follow theirs as .npy. A request is one of
//   prepare NUMBER COUNT    hold COUNT arrays under a number, each a line "NAME SIZE" and its bytes -> ok
//   call NUMBER             -> took NANOSECONDS, of the call alone
//   outputs                 -> arrays COUNT, of the last call, each as above
//   facts                   -> facts SIZE, then as many bytes
//   forget NUMBER           -> ok
// and any of them is answered by "error WORDS" where it fails. The first line says that it is ready.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <sstream>

#include "npy.hpp"

namespace serve {

// The two ends of a pipe. Whatever libraries print goes to the standard error, never between the answers.
class Pipe {
    int in_ = 0, out_;
    std::string read_;

  public:
    Pipe() : out_(fcntl(1, F_DUPFD_CLOEXEC, 3)) { dup2(2, 1); }

    std::optional<std::string> line() {
        for (;;) {
            if (const auto end = read_.find('\n'); end != std::string::npos) return take(end + 1).substr(0, end);
            if (!more()) return std::nullopt;
        }
    }

    std::string bytes(std::size_t count) {
        while (read_.size() < count)
            if (!more()) throw std::runtime_error("the pipe ends within an array");
        return take(count);
    }

    void say(const std::string& text) const {
        for (std::size_t sent = 0; sent < text.size();) {
            const auto count = write(out_, text.data() + sent, text.size() - sent);
            if (count < 0 && errno != EINTR) std::_Exit(0);  // nobody is there any more
            sent += count < 0 ? 0 : std::size_t(count);
        }
    }

  private:
    std::string take(std::size_t count) {
        std::string taken = read_.substr(0, count);
        read_.erase(0, count);
        return taken;
    }

    bool more() {
        char part[1 << 16];
        for (;;) {
            const auto count = read(in_, part, sizeof part);
            if (count > 0) read_.append(part, std::size_t(count));
            if (count >= 0 || errno != EINTR) return count > 0;
        }
    }
};

inline std::string in_one_line(std::string text) {
    for (auto& letter : text)
        if (static_cast<unsigned char>(letter) < ' ') letter = ' ';
    return text.substr(0, 2000);
}

inline std::int64_t since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
}

inline std::string sized(const std::string& what, const std::string& content) {
    return what + " " + std::to_string(content.size()) + "\n" + content;
}

// The answer to one request, whose words are in `line`.
template <class Runtime>
std::string answer(Runtime& runtime, std::map<int, typename Runtime::Native>& held, std::istringstream line,
                   Pipe& pipe) {
    std::string what;
    int number = 0;
    std::size_t count = 0;
    line >> what >> number >> count;
    if (what == "call") {
        auto& native = held.at(number);
        const auto start = std::chrono::steady_clock::now();
        runtime.call(native);
        return "took " + std::to_string(since(start)) + "\n";
    }
    if (what == "prepare") {
        std::vector<std::pair<std::string, std::string>> files;  // all of them, whatever is wrong with one
        while (files.size() < count) {
            std::istringstream head(pipe.line().value());
            std::string name;
            std::size_t size = 0;
            head >> name >> size;
            files.emplace_back(name, pipe.bytes(size));
        }
        npy::Arrays arrays;
        for (const auto& [name, file] : files) arrays.emplace_back(name, npy::parse(file));
        held.insert_or_assign(number, runtime.prepare(arrays));
        return "ok\n";
    }
    if (what == "forget") return held.erase(number) ? "ok\n" : "error nothing is held under that number\n";
    if (what == "outputs") {
        const npy::Arrays outputs = runtime.outputs();
        std::string said = "arrays " + std::to_string(outputs.size()) + "\n";
        for (const auto& [name, array] : outputs) said += sized(name, npy::text(array));
        return said;
    }
    if (what == "facts") return sized("facts", runtime.facts());
    return "error no such request\n";
}

// Load, say so, then answer until the other end is closed.
template <class Runtime, class Config>
void until_closed(const Config& config, Pipe& pipe) {
    const auto start = std::chrono::steady_clock::now();
    Runtime runtime(config);
    std::map<int, typename Runtime::Native> held;
    pipe.say("ready load_ns=" + std::to_string(since(start)) + " threads=" + std::to_string(runtime.threads()) +
             " version=" + Runtime::version() + "\n");
    while (const auto line = pipe.line()) {
        std::string said;
        try {
            said = answer(runtime, held, std::istringstream(*line), pipe);
        } catch (const std::exception& error) {
            said = "error " + in_one_line(error.what()) + "\n";
        }
        pipe.say(said);
    }
}

}  // namespace serve
