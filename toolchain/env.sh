# Sourced, not run:  . toolchain/env.sh
# Gives this shell what plain `pulumi up -s prod` needs. sh, bash and zsh; from sh, source it in the checkout's root.
# It never chooses a backend, a passphrase or a token: those stay yours.

if [ -n "${BASH_SOURCE:-}" ]; then
    _prefect_fly_file="${BASH_SOURCE}"
elif [ -n "${ZSH_VERSION:-}" ]; then
    eval '_prefect_fly_file="${(%):-%x}"'
else
    _prefect_fly_file="toolchain/env.sh"
fi
_prefect_fly_root="$(cd "$(dirname "${_prefect_fly_file}")/.." 2>/dev/null && pwd)"
if [ ! -f "${_prefect_fly_root}/toolchain/env.sh" ]; then
    echo "could not find the checkout: source toolchain/env.sh from its root." >&2
elif [ ! -x "${_prefect_fly_root}/.venv/bin/python" ]; then
    echo "could not find .venv in the checkout: run 'make setup' there first." >&2
elif _prefect_fly_exports="$(cd "${_prefect_fly_root}" && .venv/bin/python -m toolchain env)"; then
    eval "${_prefect_fly_exports}"
fi
unset _prefect_fly_file _prefect_fly_root _prefect_fly_exports
