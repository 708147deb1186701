// Runs a fuzz target without libFuzzer: each file of the corpus as it is, then seeded mutations of them. The
// same seed gives the same inputs everywhere; a crash names the seed and the number of the input, so that it
// can be had again.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
/// There in programs with a sanitizer, null in others.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kMaxInput = 65536;
constexpr std::uint64_t kDefaultRuns = 20000;
constexpr std::uint64_t kDefaultSeed = 7433;
constexpr std::chrono::seconds kMaxTime{60};
constexpr unsigned kMaxSecondsPerInput = 20;

/// SplitMix64: unlike the standard library's distributions it gives the same numbers with every compiler.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  /// 0 to limit - 1; 0 when limit is 0.
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : static_cast<std::size_t>(next() % limit); }

 private:
  std::uint64_t state_;
};

/// A range of `input` that is not longer than 64 bytes, most often.
struct Block {
  std::size_t begin;
  std::size_t length;
};
Block any_block(const Input& input, Random& random) {
  const std::size_t begin = random.below(input.size());
  const std::size_t longest = random.below(8) == 0 ? input.size() : std::min<std::size_t>(input.size(), 64);
  return {begin, std::min(random.below(longest + 1), input.size() - begin)};
}

Input copy_of(const Input& input, Block block) {
  const auto begin = input.begin() + static_cast<std::ptrdiff_t>(block.begin);
  return {begin, begin + static_cast<std::ptrdiff_t>(block.length)};
}

void insert(Input& input, std::size_t where, const Input& bytes) {
  input.insert(input.begin() + static_cast<std::ptrdiff_t>(where), bytes.begin(), bytes.end());
}

void overwrite(Input& input, std::size_t where, const Input& bytes) {
  const std::size_t length = std::min(bytes.size(), input.size() - where);
  std::copy_n(bytes.begin(), length, input.begin() + static_cast<std::ptrdiff_t>(where));
}

/// A number that decoders trip over, in 1, 2, 4 or 8 bytes of either order, or as text.
Input interesting_number(Random& random) {
  constexpr std::array<std::uint64_t, 14> kNumbers{
      0,           1,           0x7f,        0x80,        0xff,        0x7fff,      0xffff,
      0x7fffffffU, 0x80000000U, 0xffffffffU, 1ULL << 32U, 1ULL << 62U, ~0ULL >> 1U, ~0ULL};
  std::uint64_t number = kNumbers.at(random.below(kNumbers.size())) + random.below(3) - 1;
  const std::size_t form = random.below(9);
  if (form == 8) {
    const std::string text = std::to_string(number);
    return {text.begin(), text.end()};
  }
  Input bytes;
  for (std::size_t i = 0; i < std::size_t{1} << (form / 2); ++i) {
    bytes.push_back(static_cast<std::uint8_t>(number));
    number >>= 8U;
  }
  if (form % 2 == 1) std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

void erase(Input& input, Block block) {
  const auto begin = input.begin() + static_cast<std::ptrdiff_t>(block.begin);
  input.erase(begin, begin + static_cast<std::ptrdiff_t>(block.length));
}

/// One change to `input`; `other` is what it may be spliced with.
void mutate(Input& input, const Input& other, Random& random) {
  if (input.empty()) input.push_back(static_cast<std::uint8_t>(random.next()));
  const std::size_t where = random.below(input.size());
  switch (random.below(9)) {
    case 0:
      input[where] ^= static_cast<std::uint8_t>(1U << random.below(8));
      break;
    case 1:
      input[where] = static_cast<std::uint8_t>(random.next());
      break;
    case 2:
      input.resize(where);
      break;
    case 3:
      erase(input, any_block(input, random));
      break;
    case 4:
      insert(input, where, copy_of(input, any_block(input, random)));
      break;
    case 5:
      overwrite(input, where, copy_of(input, any_block(input, random)));
      break;
    case 6:
      overwrite(input, where, interesting_number(random));
      break;
    case 7:
      insert(input, where, interesting_number(random));
      break;
    default:  // the beginning of one, the end of another
      input.resize(where);
      if (!other.empty()) {
        const std::size_t from = random.below(other.size());
        insert(input, where, copy_of(other, {from, other.size() - from}));
      }
  }
  if (input.size() > kMaxInput) input.resize(kMaxInput);
}

/// Input number `number` of the run with `seed`: depends on nothing else.
Input make_input(const std::vector<Input>& corpus, std::uint64_t seed, std::uint64_t number) {
  Random random(seed ^ (number * 0xd1342543de82ef95U));
  Input input = corpus[random.below(corpus.size())];
  for (std::size_t changes = 1 + random.below(6); changes > 0; --changes) {
    mutate(input, corpus[random.below(corpus.size())], random);
  }
  return input;
}

/// What a handler of a crash says; written before each input, read by the handler only.
std::array<char, 256> crash_note{};
std::size_t crash_note_length = 0;

void set_crash_note(const std::string& text) {
  crash_note_length = std::min(text.size(), crash_note.size());
  std::memcpy(crash_note.data(), text.data(), crash_note_length);
}

void write_crash_note() {
  if (write(STDERR_FILENO, crash_note.data(), crash_note_length) < 0) _exit(2);
}

extern "C" void on_crash(int number) {
  write_crash_note();
  signal(number, SIG_DFL);
  raise(number);
}

void install_crash_handlers() {
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(write_crash_note);
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) {
    struct sigaction before {};
    sigaction(number, nullptr, &before);
    // A sanitizer has its own handler, which knows more.
    if (before.sa_handler == SIG_DFL) signal(number, on_crash);
  }
}

std::optional<std::uint64_t> number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

Input read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void run(const Input& input, const std::string& note) {
  set_crash_note(note);
  alarm(kMaxSecondsPerInput);
  // A copy of exactly this size, so that a read beyond its end is seen by AddressSanitizer.
  const std::vector<std::uint8_t> exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
  alarm(0);
}

/// CARAVAN_FUZZ_AT: leaves one generated input in a file and runs it.
int run_one(const std::vector<Input>& corpus, std::uint64_t seed, std::uint64_t number) {
  const Input input = make_input(corpus, seed, number);
  const std::string name = "fuzz-input-" + std::to_string(seed) + "-" + std::to_string(number);
  std::ofstream(name, std::ios::binary)
      .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
  std::cout << "wrote " << name << ", " << input.size() << " bytes" << std::endl;
  run(input, "\nfuzz: this one fails: " + name + "\n");
  return 0;
}

int run_all(const std::vector<Input>& corpus, std::uint64_t seed, std::uint64_t runs) {
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t number = 0;
  while (number < runs && std::chrono::steady_clock::now() - began < kMaxTime) {
    run(make_input(corpus, seed, number),
        "\nfuzz: failed; this input alone: CARAVAN_FUZZ_SEED=" + std::to_string(seed) +
            " CARAVAN_FUZZ_AT=" + std::to_string(number) + "\n");
    ++number;
  }
  std::cout << "seed " << seed << ": " << corpus.size() << " files of the corpus and " << number << " of "
            << runs << " mutations" << (number < runs ? ", stopped after 60 s" : "") << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto files = argc == 2 ? files_of(argv[1]) : std::vector<std::filesystem::path>{};
  if (files.empty()) {
    std::cerr << "error: no corpus\n  fix: give a folder with at least one file: " << argv[0] << " FOLDER\n";
    return 2;
  }
  install_crash_handlers();
  std::vector<Input> corpus;
  for (const auto& file : files) {
    corpus.push_back(read(file));
    run(corpus.back(), "\nfuzz: failed on the file " + file.filename().string() + " of the corpus\n");
  }
  const std::uint64_t seed = number_from_environment("CARAVAN_FUZZ_SEED").value_or(kDefaultSeed);
  if (const auto at = number_from_environment("CARAVAN_FUZZ_AT")) return run_one(corpus, seed, *at);
  return run_all(corpus, seed, number_from_environment("CARAVAN_FUZZ_RUNS").value_or(kDefaultRuns));
}
