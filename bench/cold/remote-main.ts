/** Runs on a host of the testbed and does what remote.ts asks for. */
import { untilReady } from '../../cli/demo/agents.ts'
import { type Origin, startOrigin } from '../../cli/demo/origin.ts'
import { pullImage } from '../../cli/demo/pull.ts'
import type { Answer, Order } from './remote.ts'

let origin: Origin | undefined

process.on('message', (order: Order) => {
  answer(order).then(send, (error: unknown) =>
    send({ type: 'failed', message: error instanceof Error ? error.message : String(error) }),
  )
})
process.on('disconnect', () => process.exit())

function send(message: Answer): void {
  process.send?.(message)
}

async function answer(order: Order): Promise<Answer> {
  switch (order.type) {
    case 'serve':
      origin = await startOrigin({ host: order.host, repositories: order.repositories })
      return { type: 'serving', address: origin.address }
    case 'bytes-sent':
      return { type: 'bytes-sent', bytes: origin?.bytesSent() ?? 0 }
    case 'await-agent':
      await untilReady(order.ops, order.members)
      return { type: 'agent-ready' }
    case 'pull':
      return { type: 'pulled', result: await pullImage(order.options) }
  }
}
