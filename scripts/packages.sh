# What has to be on the machine: how to tell that it is there, and how to get it from apt or from Termux's pkg.

# Lines of: test, Debian's package, Termux's package.
packages_to_build() {
  cat <<'TABLE'
command:c++ g++ clang
command:cmake cmake cmake
command:ninja ninja-build ninja
command:git git git
command:python3 python3 python
command:pip3 python3-pip python-pip
certificates: ca-certificates ca-certificates
boost:81 libboost1.81-dev boost-headers
header:fmt/core.h libfmt-dev fmt
header:spdlog/spdlog.h libspdlog-dev libspdlog
header:nlohmann/json.hpp nlohmann-json3-dev nlohmann-json
header:CLI/CLI.hpp libcli11-dev cli11
header:curl/curl.h libcurl4-openssl-dev libcurl
header:zlib.h zlib1g-dev zlib
header:openssl/ssl.h libssl-dev openssl
header:qrencode.h libqrencode-dev libqrencode
header:gtest/gtest.h libgtest-dev googletest
header:gmock/gmock.h libgmock-dev googletest
TABLE
}

packages_to_check() {
  cat <<'TABLE'
command:clang-format-14 clang-format-14 clang
command:clang-tidy-14 clang-tidy-14 clang
TABLE
}

packages_to_fuzz() {
  cat <<'TABLE'
command:clang++-14 clang-14 clang
fuzzer: libclang-rt-14-dev clang
TABLE
}

packages_to_lab() {
  cat <<'TABLE'
command:ip iproute2 iproute2
command:ping iputils-ping iputils
command:iperf3 iperf3 iperf3
command:nft nftables nftables
TABLE
}

readonly private_boost=boost/usr # below the cache: Boost's headers where installing them would remove other packages

include_folders() {
  local folder
  IFS=: read -ra folders <<<"${CMAKE_PREFIX_PATH:-}:${CPATH:-}"
  for folder in ${folders[@]+"${folders[@]}"}; do
    [[ -z $folder ]] || printf '%s\n' "$folder/include" "$folder"
  done
  printf '%s\n' ${PREFIX:+"$PREFIX/include"} /usr/local/include /usr/include /usr/include/*-linux-*
}

# find_header NAME: prints where it is.
find_header() {
  local folder
  while IFS= read -r folder; do
    if [[ -e $folder/$1 ]]; then
      printf '%s' "$folder/$1"
      return 0
    fi
  done < <(include_folders)
  return 1
}

# boost_is_new_enough HEADER MINOR
boost_is_new_enough() {
  local version
  version=$(grep -s '^#define BOOST_VERSION ' "$1") || return 1
  ((${version##* } >= 100000 + $2 * 100))
}

has_system_boost() {
  local header
  header=$(find_header boost/version.hpp) && boost_is_new_enough "$header" "$1"
}

# is_there TEST
is_there() {
  local what=${1#*:}
  case $1 in
    command:c++) have "${CXX:-c++}" && have "${CC:-cc}" ;;
    command:*) have "$what" ;;
    header:*) find_header "$what" >/dev/null ;;
    boost:*) has_system_boost "$what" || [[ -d $CACHE/$private_boost ]] ;;
    certificates:) [[ -n ${SSL_CERT_FILE:-} || -e ${PREFIX:-}/etc/tls/cert.pem || -e /etc/ssl/certs/ca-certificates.crt ]] ;;
    fuzzer:) [[ -n $(find /usr/lib/llvm-14/lib -name 'libclang_rt.fuzzer-*.a' 2>/dev/null) ]] ;;
  esac
}

# ensure_packages TABLE-FUNCTION...: installs what is missing, says so first. Nothing at all when all is there.
ensure_packages() {
  local test debian termux
  local -a missing=()
  while read -r test debian termux; do
    if is_there "$test"; then continue; fi
    if in_termux; then missing+=("$termux"); else missing+=("$debian"); fi
  done < <(for table; do "$table"; done)
  ((${#missing[@]} > 0)) || return 0
  make_cache
  if in_termux; then
    install_with_pkg "${missing[@]}"
  elif have apt-get; then
    install_with_apt "${missing[@]}"
  else
    fail "missing, and neither apt nor pkg is here to install it: ${missing[*]}" \
      "install these (Debian's names) with this system's package manager, then ./run again"
  fi
}

install_with_pkg() {
  local log=$CACHE/log/packages.log
  local -a packages
  mapfile -t packages < <(printf '%s\n' "$@" | sort -u)
  say "packages installing with pkg: ${packages[*]}"
  : >"$log"
  if ! DEBIAN_FRONTEND=noninteractive run_logged packages "$log" pkg install -y "${packages[@]}"; then
    tail -n 5 "$log" | quote_lines
    fail "pkg could not install: ${packages[*]}" "look above; with a working network, pkg upgrade and ./run again often help"
  fi
}
