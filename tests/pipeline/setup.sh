# What the scripts here have in common. They source it at the root of the repository.

# Sets `target`, the folder into which cargo puts what it builds.
find_target() {
  target=$(cargo metadata --locked --no-deps --format-version 1 |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
}

# Builds the tap and the simulated account, and sets `target`.
build() {
  cargo build --locked --release --bin tap-freshchat --example sandbox
  find_target
}

# Makes a virtual environment that holds what a requirements file names; one that was made from
# an equal file is kept. Further arguments go to pip.
environment() {
  local folder=$1 requirements=tests/pipeline/$2
  shift 2
  if "$folder/bin/python" --version &>/dev/null && cmp -s "$requirements" "$folder/made-from.txt"; then
    return
  fi
  rm -rf "$folder"
  python3 -m venv "$folder"
  local install=("$folder/bin/python" -m pip --disable-pip-version-check install --no-input --quiet)
  local tools
  tools=$(grep -E '^(setuptools|wheel)==' "$requirements" || true)
  # shellcheck disable=SC2086 # one word for each package
  [[ -z $tools ]] || "${install[@]}" $tools
  "${install[@]}" --requirement "$requirements" "$@"
  cp "$requirements" "$folder/made-from.txt"
}
