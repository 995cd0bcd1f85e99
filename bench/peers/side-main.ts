/** One of the two processes of the bench: says where it is, and then does what peers.ts asks for. */
import { randomBytes } from 'node:crypto'
import { limits } from '../../core/limits.ts'
import type { Order, Report } from './peers.ts'
import { createSide, type Kind } from './sides.ts'

const report = (message: Report): void => void process.send?.(message)

let awaitedBytes = Infinity
let receivedBytes = 0
const side = await createSide(process.argv[2] as Kind, (count) => {
  receivedBytes += count
  if (receivedBytes < awaitedBytes) return
  awaitedBytes = Infinity
  receivedBytes = 0
  report({ type: 'received' })
})
/** Random, in case anything on the way would compress. */
const chunk = randomBytes(limits.chunkSizeMaxBytes)

process.on('message', (order: Order) => {
  if (order.type === 'await') awaitedBytes = order.chunks * chunk.length
  else void give(order)
})
process.on('disconnect', () => process.exit())

async function give({ chunks, to }: Extract<Order, { type: 'give' }>): Promise<void> {
  await side.connect(to)
  await side.give(to, chunk, chunks)
}

report({ type: 'listening', address: side.address })
