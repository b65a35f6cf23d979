#!/bin/bash
# One training on two hosts, which are two sets of namespaces of this machine: each with a name, a
# network, processes, shared memory and an sshd of its own, and a cable between them.
#
#     sudo env PATH="$PATH" bash tests/two_hosts.sh    # about 20 s; needs Linux, root, iproute2, openssh-server
#
# By hand, where `mpiexec` and `python` are those of the environment.  It compares one process with
# two and four on the hosts, then kills one on the other host.
set -e
cd "$(dirname "$0")/.."
root=$PWD place=$(mktemp -d) hosts="alpha beta"
for tool in unshare nsenter ip ssh sshd mpiexec python; do
    PATH=$PATH:/usr/sbin command -v $tool > /dev/null || { echo "skipped: no $tool here"; exit 0; }
done
unshare --net --mount true 2> /dev/null || { echo "skipped: no right to make namespaces"; exit 0; }

on() { nsenter -t "$(cat "$place/$1")" -n -u -m -i -p -- "${@:2}"; }
clean() {
    for host in $hosts; do kill -9 "$(cat "$place/$host")" 2> /dev/null || true; done
    rm -rf "$place"
}
trap clean EXIT

# The hosts: the first process of each is its sshd, and all end with it.
ssh-keygen -q -t ed25519 -N '' -f "$place/key"
printf '127.0.0.1 localhost\n10.99.0.1 alpha\n10.99.0.2 beta\n' > "$place/names"
for host in $hosts; do
    setsid unshare --net --uts --mount --ipc --pid --fork --mount-proc bash -c "
        mount --make-rprivate /
        hostname $host
        mount --bind $place/names /etc/hosts
        mount -t sysfs sysfs /sys  # where MPI looks for networks
        mount -t tmpfs none /dev/shm
        mount -t tmpfs none /run
        mkdir /run/sshd
        ip link set lo up
        exec $(PATH=$PATH:/usr/sbin command -v sshd) -D -f /dev/null -h $place/key -o UsePAM=no \
            -o AuthorizedKeysFile=$place/key.pub -o StrictModes=no -o PidFile=none
    " < /dev/null > "$place/log_$host" 2>&1 &
    unshared=$!
    until pgrep -P $unshared > "$place/$host"; do sleep 0.1; done
done
ip link add va netns "$(cat "$place/alpha")" type veth peer name vb netns "$(cat "$place/beta")"
on alpha ip addr add 10.99.0.1/24 dev va
on beta ip addr add 10.99.0.2/24 dev vb
on alpha ip link set va up
on beta ip link set vb up
printf '#!/bin/bash\nexec ssh -i %s -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o LogLevel=ERROR "$@"\n' "$place/key" > "$place/ssh"
chmod +x "$place/ssh"
until on alpha "$place/ssh" beta true 2> /dev/null; do sleep 0.2; done

# A training of so many processes, from alpha.
export MINIGAN_OFFLINE=1 PYTHONPATH=$root OPENBLAS_NUM_THREADS=1
python=$(command -v python)
train() {
    on alpha bash -c 'cd "$0" && exec timeout -k 2 60 "$@"' "$root" mpiexec \
        -launcher-exec "$place/ssh" -n "$1" -hosts alpha,beta "$python" "${@:2}" \
        --steps 5 --batch-size 12 --limit 60 --dtype float64 --data digits
}
for example in "mnist_gan 0.1" "dcgan 0.12"; do
    read -r name width <<< "$example"
    "$python" "examples/$name.py" --width "$width" --steps 5 --batch-size 12 --limit 60 \
        --dtype float64 --data digits --out "$place/$name.1" > /dev/null 2>&1
    for size in 2 4; do
        train $size "examples/$name.py" --width "$width" --out "$place/$name.$size" > "$place/log" 2>&1 ||
            { cat "$place/log"; exit 1; }
        (cd tests && "$python" -c "
import sys; from pathlib import Path; from test_mpi import assert_same
assert_same(Path(sys.argv[1]), Path(sys.argv[2]))" "$place/$name.1" "$place/$name.$size")
        echo "$name: $size processes on two hosts train as one"
    done
done

(cd tests && "$python" -c "import test_mpi; print(test_mpi.BROKEN)") > "$place/broken.py"
if train 2 "$place/broken.py" 9 --width 0.05 --out "$place/killed" > "$place/log" 2>&1; then
    echo "a process was killed, and all is well"
    exit 1
fi
sleep 1
for host in $hosts; do
    if on $host pgrep -f broken.py > /dev/null; then echo "$host still trains"; exit 1; fi
done
echo "one killed on the other host: both have ended"
