// Measures how fast the disk that holds the models is.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <random>

#include <fmt/format.h>

#include "base/descriptor.h"
#include "doctor/storage_checks.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{10};       // the disk may sync for long
constexpr std::chrono::milliseconds kTime{900};  // twice: under two seconds
constexpr std::size_t kChunk = std::size_t{1} << 20U;
constexpr std::uint64_t kMostChunks = 64;
constexpr std::uint64_t kChunksToSync = 4;
constexpr Bytes kSpare = mebibytes(256);
constexpr double kSlowWrite = 10e6;  // bytes a second: a download over Wi-Fi is as fast
constexpr double kSlowRead = 50e6;   // 4 GB load in 80 s

/// Content that no disk compresses.
std::string noise() {
  std::minstd_rand random(1);  // the same each time is as good
  std::string bytes(kChunk, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() >> 8U);
  return bytes;
}

double rate(std::uint64_t chunks, TimePoint started) {
  const std::chrono::duration<double> took = Clock::now() - started;
  return static_cast<double>(chunks * kChunk) / std::max(took.count(), 1e-6);
}

/// How many chunks were written; they are on the disk then.
Result<std::uint64_t> write_chunks(int fd, TimePoint end) {
  const std::string chunk = noise();
  std::uint64_t count = 0;
  while (count < kMostChunks && (count == 0 || Clock::now() < end)) {
    if (::write(fd, chunk.data(), chunk.size()) != static_cast<ssize_t>(chunk.size()))
      return errno_error("cannot write", errno);
    ++count;
    // Now and then, so that what the system remembers does not pile up.
    if (count % kChunksToSync == 0) (void)::fdatasync(fd);
  }
  if (::fdatasync(fd) != 0) return errno_error("cannot write", errno);
  return count;
}

Result<std::uint64_t> read_chunks(int fd, TimePoint end) {
  std::string chunk(kChunk, '\0');
  std::uint64_t count = 0;
  while (count == 0 || Clock::now() < end) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0) return errno_error("cannot read", errno);
    if (static_cast<std::size_t>(got) < chunk.size()) break;
    ++count;
  }
  return count;
}

}  // namespace

Finding disk_speed(const Result<DiskSpeed>& speed) {
  if (!speed) return skipped(speed.error().message);
  const std::string text =
      fmt::format("writes {:.0f} MB/s, reads {:.0f} MB/s", speed->write / 1e6, speed->read / 1e6);
  if (speed->write >= kSlowWrite && speed->read >= kSlowRead) return ok(text);
  return {Status::warning,
          text + ", which is slow",
          fmt::format("a model of 4 GB takes {} to load",
                      format_duration(std::chrono::duration<double>(4e9 / speed->read))),
          {"put Caravan's folder on the device's own storage instead of a memory card: export "
           "CARAVAN_HOME=FOLDER",
           "run it again while nothing else uses the disk: caravan doctor --only disk-speed"}};
}

Result<DiskSpeed> measure_disk(const fs::path& folder, std::chrono::milliseconds time) {
  const auto free = free_space(folder);
  if (!free) return free.error();
  if (*free < kSpare + Bytes{kMostChunks * kChunk})
    return Error{Code::exhausted, "too little room to measure it", ""};
  std::string pattern = (folder / ".caravan-doctor-XXXXXX").string();
  const Descriptor file(::mkstemp(pattern.data()));
  if (file.get() < 0) return errno_error("no file can be made there", errno);
  ::unlink(pattern.c_str());  // gone whatever happens
  DiskSpeed speed;
  TimePoint started = Clock::now();
  const auto written = write_chunks(file.get(), started + time);
  if (!written) return written.error();
  speed.write = rate(*written, started);
  // Else what was written would come from memory.
  (void)::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return errno_error("cannot read", errno);
  started = Clock::now();
  const auto read = read_chunks(file.get(), started + time);
  if (!read) return read.error();
  speed.read = rate(*read, started);
  return speed;
}

Step disk_step(fs::path home) {
  return make_step<Result<DiskSpeed>>(
      {{{"disk-speed", "how fast models are written and read"}, disk_speed}}, kLimit,
      [home = std::move(home)]() -> Result<DiskSpeed> {
        std::error_code failure;
        fs::path folder = home;
        while (!fs::is_directory(folder, failure) && folder.has_relative_path())
          folder = folder.parent_path();
        return measure_disk(folder, kTime);
      });
}

}  // namespace caravan::doctor
