# ./run lab: a command or a shell with an emulated network around it. What it is: docs/lab.md.

lab_command() {
  case ${1:-} in
    run | shell) ;;
    '' | -h | --help) exec python3 tests/e2e/lab_cli.py --help ;;
    *) fail "./run lab has no command '$1'" "./run lab run [OPTIONS] -- COMMAND, or ./run lab shell [OPTIONS]" 2 ;;
  esac
  check_lab_rights
  ensure_packages packages_to_build packages_to_lab
  ensure_engine
  mkdir -p build
  with_lock build/lock build_preset release lab_net
  local program=$PWD/tests/e2e/lab_cli.py
  cd "$invoked_from" || fail "the folder $invoked_from is gone" "go to one that exists"
  exec python3 "$program" "$@"
}

# Before anything is installed or built for nothing.
check_lab_rights() {
  if ((EUID != 0)); then
    fail "the lab needs root: it makes network namespaces and TUN devices (CAP_NET_ADMIN, CAP_SYS_ADMIN)" "sudo ./run lab ..."
  fi
  if ! { : <>/dev/net/tun; } 2>/dev/null; then
    fail "the lab needs TUN devices, and /dev/net/tun cannot be opened" \
      "modprobe tun, or give the container the device: --device /dev/net/tun --cap-add NET_ADMIN"
  fi
}
