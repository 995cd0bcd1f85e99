/**
 * A small data centre in network namespaces: hosts with one link each to a switch. Both ends of each link are shaped, so
 * that uploads and downloads have the rate. Nothing of it can be seen from, or routed out of, its own namespaces.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Guardian } from '../../cli/demo/guardian.ts'

const run = promisify(execFile)

export interface Host {
  readonly name: string
  readonly address: string
  /** Words to put before a command, to run it on this host. */
  readonly prefix: readonly string[]
}

/** Enough for one full-size packet burst per timer tick at 10 Gbit/s and below; a queue of 50 ms, as switches have. */
const shaping = 'burst 64kb latency 50ms'

let made = 0

/** The first host is the origin; needs root. Everything is removed with the guardian. */
export async function makeTestbed(guardian: Guardian, hostCount: number, linkMbit: number): Promise<Host[]> {
  if (process.getuid?.() !== 0) throw new Error('network namespaces need root; run this as root')
  const id = `shoal-bench-${process.pid}-${made++}`
  const bridge = `${id}-switch`
  const hosts = Array.from({ length: hostCount }, (_, index) => makeHost(`${id}-${index}`, `10.77.0.${index + 1}`))
  for (const name of [bridge, ...hosts.map((host) => host.name)]) guardian.atEnd('ip', 'netns', 'delete', name)
  const setUp = [
    `ip netns add ${bridge}`,
    `ip -n ${bridge} link add br0 type bridge`,
    `ip -n ${bridge} link set br0 up`,
    ...hosts.flatMap(({ name, address }, index) => [
      `ip netns add ${name}`,
      `ip link add port${index} netns ${bridge} type veth peer name eth0 netns ${name}`,
      `ip -n ${bridge} link set port${index} master br0 up`,
      `ip -n ${name} address add ${address}/24 dev eth0`,
      `ip -n ${name} link set eth0 up`,
      // Most nodes' congestion control; BBR, this kernel's default perhaps, has a shaper drop thousands of packets a second.
      `ip -n ${name} route replace 10.77.0.0/24 dev eth0 src ${address} congctl cubic`,
      `ip -n ${name} link set lo up`,
      // On links this slow TCP sends two packets at a time, each at the cost of the cores that the nodes share here.
      `ip netns exec ${name} sysctl -qw net.ipv4.tcp_min_tso_segs=16`,
      `tc -n ${name} qdisc add dev eth0 root tbf rate ${linkMbit}mbit ${shaping}`,
      `tc -n ${bridge} qdisc add dev port${index} root tbf rate ${linkMbit}mbit ${shaping}`,
    ]),
  ]
  await run('sh', ['-ec', setUp.join('\n')])
  return hosts
}

function makeHost(name: string, address: string): Host {
  return { name, address, prefix: ['ip', 'netns', 'exec', name] }
}
