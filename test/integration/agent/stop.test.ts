/** SIGTERM, on real processes: nobody's pull breaks, and the other members know at once. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { readMetrics, startCluster } from '../../../cli/demo/agents.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { makeImage, pulledBlobs } from '../../../cli/demo/image.ts'
import { startOrigin } from '../../../cli/demo/origin.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import { MiB } from '../../../core/units.ts'

const guardian = createGuardian()
afterAll(() => guardian.close())

test('a running response ends whole, the process ends well, and by then the others have struck it off', async () => {
  const image = await makeImage({ directory: await guardian.directory(), seed: 'stop', layerSizesBytes: [8 * MiB] })
  const [layer] = pulledBlobs(image, 'amd64').toSorted((a, b) => b.size - a.size)
  // Slow enough that the signal comes in the middle.
  const origin = await startOrigin({ repositories: { 'demo/stop': image }, rateBytesPerSecond: 4 * MiB })
  onTestFinished(() => origin.close())
  const [stayer, leaver] = await startCluster(guardian, 2, { plainOrigins: [origin.address] })
  const response = await get(`${leaver?.mirror}/v2/demo/stop/blobs/${layer?.digest}?ns=${origin.address}`)
  const hash = createHash('sha256')
  let received = 0
  const exited = once(leaver!.process, 'exit')
  for await (const piece of response) {
    if (received === 0) leaver?.process.kill('SIGTERM')
    received += piece.length
    hash.update(piece)
  }
  expect(digestFromHex(hash.digest('hex'))).toBe(layer?.digest)
  expect(await exited).toEqual([0, null])
  expect((await readMetrics(stayer!.ops)).get('shoal_members')).toBe(1)
  stayer?.process.kill('SIGTERM')
})

async function get(url: string): Promise<http.IncomingMessage> {
  const request = http.get(url)
  const [response] = await once(request, 'response')
  return response
}
