// Each recorded file is what a real program wrote when it was made to fail in that way.
#include "engine/exit.h"

#include <csignal>

#include <gmock/gmock.h>

#include "engine/testing.h"

namespace caravan::engine {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Case {
  const char* recorded;
  Program program;
  ExitStatus status;
  RunPhase phase;
  ExitCause cause;
  const char* line;
  const char* worker = "";
};

void PrintTo(const Case& example, std::ostream* out) { *out << example.recorded; }

ExitReport classify_lines(const std::vector<std::string>& lines, Program program, const ExitStatus& status,
                          RunPhase phase, bool asked = false) {
  OutputRing output;
  for (const std::string& line : lines) {
    output.add(line);
    const auto event = parse_engine_line(line);
    if (!event) continue;
    if (const auto* trouble = std::get_if<Trouble>(&*event)) output.add_trouble(*trouble);
  }
  return classify(program, status, output, asked, phase);
}

class RecordedExit : public testing::TestWithParam<Case> {};

TEST_P(RecordedExit, HasItsCauseAndItsDecisiveLine) {
  const Case& example = GetParam();
  const ExitReport report = classify_lines(testing_support::recorded_lines(example.recorded), example.program,
                                           example.status, example.phase);
  EXPECT_EQ(name_of(report.cause), name_of(example.cause));
  EXPECT_THAT(report.line, HasSubstr(example.line));
  EXPECT_EQ(report.worker, example.worker);
  EXPECT_THAT(report.error.message, HasSubstr(example.line));
  EXPECT_THAT(report.error.message, HasSubstr(example.worker));
  EXPECT_THAT(report.error.message, Not(HasSubstr("\n"))) << "one line of cause";
  EXPECT_FALSE(report.error.hint.empty()) << "one line of cure";
}

constexpr Program kServer = Program::llama_server;
constexpr Program kRpc = Program::rpc_server;
constexpr ExitStatus kFailed{1, 0};
constexpr ExitStatus kAborted{0, SIGABRT};
constexpr auto kStarting = RunPhase::starting;
constexpr auto kLoading = RunPhase::loading;
constexpr auto kServing = RunPhase::serving;

INSTANTIATE_TEST_SUITE_P(
    Engine, RecordedExit,
    testing::Values(
        Case{"flag_unknown", kServer, kFailed, kStarting, ExitCause::flag_unknown, "--no-such-flag"},
        Case{"flag_value", kServer, kFailed, kStarting, ExitCause::flag_unknown, "\"--ctx-size\": stoi"},
        Case{"flag_device", kServer, kFailed, kStarting, ExitCause::flag_unknown, "invalid device: RPC0"},
        Case{
            "rpc_flag_unknown", kRpc, {0, 0}, kStarting, ExitCause::flag_unknown, "unknown argument: --nope"},
        Case{"rpc_device", kRpc, kFailed, kStarting, ExitCause::flag_unknown, "unknown device: NOPE"},
        Case{"rpc_threads", kRpc, kFailed, kStarting, ExitCause::flag_unknown,
             "invalid number of threads: 0"},
        Case{"model_missing", kServer, kFailed, kLoading, ExitCause::model_unreadable,
             "No such file or directory"},
        Case{"model_foreign", kServer, kFailed, kLoading, ExitCause::model_unreadable,
             "invalid magic characters"},
        Case{"model_empty", kServer, kFailed, kLoading, ExitCause::model_unreadable, "failed to read magic"},
        Case{"model_truncated", kServer, kFailed, kLoading, ExitCause::model_unreadable,
             "corrupted or incomplete"},
        Case{"model_truncated_header", kServer, kFailed, kLoading, ExitCause::model_unreadable,
             "failed to read key-value pairs"},
        Case{"context_impossible", kServer, kFailed, kLoading, ExitCause::exited, "n_ctx_seq == 0"},
        Case{"port_taken_server", kServer, kFailed, kStarting, ExitCause::port_taken,
             "couldn't bind HTTP server socket"},
        Case{"port_taken_rpc",
             kRpc,
             {0, 0},
             kStarting,
             ExitCause::port_taken,
             "Failed to create server socket"},
        Case{"missing_library",
             kServer,
             {127, 0},
             kStarting,
             ExitCause::missing_library,
             "libllama-server-impl.so"},
        Case{"memory_context", kServer, kFailed, kLoading, ExitCause::out_of_memory, "insufficient memory"},
        Case{"memory_vocabulary", kServer, kFailed, kLoading, ExitCause::out_of_memory, "bad_alloc"},
        Case{"memory_worker_kv", kServer, kFailed, kLoading, ExitCause::out_of_memory,
             "failed to allocate RPC0", "127.0.0.1:50083"},
        Case{"memory_worker_weights", kServer, kFailed, kLoading, ExitCause::out_of_memory,
             "failed to allocate RPC0", "127.0.0.1:50083"},
        Case{"rpc_memory", kRpc, kAborted, kServing, ExitCause::out_of_memory, "insufficient memory"},
        Case{"worker_unreachable", kServer, kAborted, kStarting, ExitCause::worker_lost, "Failed to connect",
             "127.0.0.1:1"},
        Case{"worker_lost_loading", kServer, kAborted, kLoading, ExitCause::worker_lost, "Failed to connect",
             "127.0.0.1:50083"},
        Case{"worker_lost_generating", kServer, kAborted, kServing, ExitCause::worker_lost,
             "Remote RPC server crashed or returned malformed response"},
        Case{"worker_lost_backtrace", kServer, kAborted, kServing, ExitCause::worker_lost,
             "Remote RPC server crashed or returned malformed response"},
        Case{"worker_incompatible", kServer, kAborted, kStarting, ExitCause::worker_incompatible,
             "RPC handshake failed", "127.0.0.1:50080"}),
    [](const testing::TestParamInfo<Case>& each) { return each.param.recorded; });

TEST(Exit, AskedToStopIsNoFailureWhateverItSaid) {
  const ExitReport report =
      classify_lines(testing_support::recorded_lines("model_empty"), kServer, kFailed, kLoading, true);
  EXPECT_EQ(report.cause, ExitCause::asked);
  EXPECT_EQ(report.error.code, Code::interrupted);
}

TEST(Exit, KilledIsKilledWhateverItSaid) {
  const ExitReport report =
      classify_lines(testing_support::recorded_lines("model_empty"), kServer, {0, SIGKILL}, kLoading);
  EXPECT_EQ(report.cause, ExitCause::killed);
  EXPECT_EQ(report.error.message, "llama-server was killed while loading the model: signal 9 (SIGKILL)");
  EXPECT_THAT(report.error.hint, HasSubstr("memory"));
}

TEST(Exit, CrashWithoutAWord) {
  const ExitReport report = classify_lines({}, kRpc, {0, SIGSEGV}, kServing);
  EXPECT_EQ(report.cause, ExitCause::crashed);
  EXPECT_EQ(report.error.message, "the RPC server crashed: signal 11 (SIGSEGV)");
  EXPECT_THAT(classify_lines({}, kServer, {0, SIGILL}, kStarting).error.hint, HasSubstr("another processor"));
}

TEST(Exit, FailedAssertionIsACrashThatQuotesIt) {
  const ExitReport report =
      classify_lines({"/x/ggml.c:12: GGML_ASSERT(n > 0) failed"}, kServer, kAborted, kServing);
  EXPECT_EQ(report.cause, ExitCause::crashed);
  EXPECT_EQ(report.line, "ggml.c:12: GGML_ASSERT(n > 0) failed");
}

TEST(Exit, AndroidsAndMuslsWordsForAMissingLibrary) {
  for (const char* line :
       {"CANNOT LINK EXECUTABLE \"./llama-server\": library \"libllama.so\" not found: needed by main "
        "executable",
        "Error loading shared library libllama.so: No such file or directory (needed by ./llama-server)",
        "./llama-server: symbol lookup error: ./llama-server: undefined symbol: llama_x"}) {
    EXPECT_EQ(classify_lines({line}, kServer, {1, 0}, kStarting).cause, ExitCause::missing_library) << line;
  }
}

TEST(Exit, ARequestCannotMakeUpACauseOfTheStart) {
  const ExitReport report =
      classify_lines({"error: invalid argument: --x", "error loading model: y"}, kServer, {3, 0}, kServing);
  EXPECT_EQ(report.cause, ExitCause::exited);
  EXPECT_EQ(report.error.message, "llama-server ended by itself: exit code 3");
}

TEST(Exit, EscapesOfATerminalAreNotQuoted) {
  const ExitReport report =
      classify_lines({"error: invalid argument: \x1b[31m"}, kServer, kFailed, kStarting);
  EXPECT_THAT(report.error.message, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace caravan::engine
