import { randomInt } from 'node:crypto'
import net from 'node:net'

/** Handed out by this process: whoever got one may not have bound it yet. */
const taken = new Set<number>()

/**
 * Ports below the range from which the kernel takes those of outgoing connections, so that they stay free until bound,
 * and above 10080, the last that `fetch` refuses to connect to (Fetch standard, "bad port").
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) {
    const port = randomInt(10_081, 30_000)
    if (taken.has(port)) continue
    taken.add(port)
    if (await isFree(port)) ports.push(port)
  }
  return ports
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
