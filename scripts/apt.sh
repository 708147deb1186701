# Installing Debian packages: as root, through sudo, or as a command for the person to run.

apt_log() { printf '%s' "$CACHE/log/packages.log"; }

apt_options=(-y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)

as_root() {
  if ((EUID == 0)); then
    env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"
  fi
}

# Asks for the password now, if there is one and somebody to type it; later there is a progress line in the way.
may_become_root() {
  ((EUID == 0)) && return 0
  have sudo || return 1
  sudo -n true 2>/dev/null || { [[ -t 0 && -t 2 ]] && sudo -v; }
}

# apt_plan PACKAGE...: what apt would do ("Inst x", "Remv y"), or its errors and exit code 1.
apt_plan() { LC_ALL=C apt-get -s --no-install-recommends install "$@" 2>&1; }

apt_refresh() {
  say "packages refreshing the package lists (apt-get update)"
  run_logged packages "$(apt_log)" as_root apt-get update || apt_failed "apt-get update failed"
}

apt_failed() {
  grep -vE '^(dl|pm)[a-z]*:' "$(apt_log)" | tail -n 8 | quote_lines
  fail "$1" "see $(apt_log), cure what apt says there, then ./run again"
}

# newer_boost: the oldest package of Boost 1.81 or later that apt knows, where it is not 1.81 itself.
newer_boost() {
  apt-cache search --names-only '^libboost1[.][0-9]+-dev$' | cut -d ' ' -f 1 | sort -V | awk -F '[.-]' '$2 >= 81 {print; exit}'
}

# install_with_apt PACKAGE...
install_with_apt() {
  local plan removed boost
  : >"$(apt_log)"
  if ! may_become_root; then
    fail "missing packages, and user $(id -un) may not install any: $*" \
      "let an administrator run: apt-get update && apt-get install --no-install-recommends $*"
  fi
  if ! plan=$(apt_plan "$@"); then
    apt_refresh
    boost=$(newer_boost)
    set -- "${@/#libboost1.81-dev/${boost:-libboost1.81-dev}}"
    if ! plan=$(apt_plan "$@"); then
      grep '^E:' <<<"$plan" | quote_lines || true
      fail "apt does not know all of: $*" "Debian 12 has them; elsewhere install their like by hand, then ./run again"
    fi
  fi
  removed=$(sed -n 's/^Remv \([^ ]*\).*/\1/p' <<<"$plan" | tr '\n' ' ')
  if [[ -z $removed ]]; then
    apt_install "$plan" "$@"
  else
    install_without_removing "$removed" "$@"
  fi
}

# install_without_removing REMOVED PACKAGE...: Boost 1.81 cannot be installed beside 1.74; then only its headers are
# unpacked, below the cache.
install_without_removing() {
  local removed=$1 package
  local -a others=()
  shift
  for package; do
    if [[ $package == libboost*-dev ]]; then
      say "packages $package would remove ${removed% }: unpacking its headers below $CACHE instead"
      unpack_boost "$package"
    else
      others+=("$package")
    fi
  done
  if ((${#others[@]} == $#)); then
    fail "installing $* would remove: ${removed% }" "decide yourself: apt-get install --no-install-recommends $*"
  fi
  if ((${#others[@]} > 0)); then install_with_apt "${others[@]}"; fi
}

unpack_boost() {
  local part=$CACHE/boost.part
  rm -rf "$part" && mkdir -p "$part"
  if ! (cd "$part" && run_logged packages "$(apt_log)" apt-get download "$1" && dpkg-deb -x ./*.deb .); then
    apt_failed "$1 could not be fetched and unpacked"
  fi
  rm -rf "$part"/*.deb "$CACHE/boost"
  mv "$part" "$CACHE/boost"
}

# apt_install PLAN PACKAGE...
apt_install() {
  local plan=$1 count bytes
  shift
  count=$(grep -c '^Inst ' <<<"$plan")
  bytes=$(LC_ALL=C apt-get install --print-uris -y --no-install-recommends "$@" 2>/dev/null |
    awk "/^'/ {sum += \$3} END {print int(sum / 1000000)}")
  say "packages installing with apt: $* ($count packages, $bytes MB to fetch)"
  if run_apt_install "$@"; then return 0; fi
  if ! grep -qE '^(E|Err|W):.*(fetch|404)' "$(apt_log)"; then apt_failed "apt could not install: $*"; fi
  apt_refresh # the lists may be older than the archive
  run_apt_install "$@" || apt_failed "apt could not install: $*"
}

# The status goes through a descriptor that is opened behind sudo, which would close it, and that is not standard
# output, which apt would then withhold from the packages' own scripts.
run_apt_install() {
  # shellcheck disable=SC2016
  run_logged packages "$(apt_log)" as_root sh -c 'exec "$@" 3>&1' sh \
    apt-get install "${apt_options[@]}" -o APT::Status-Fd=3 "$@"
}
