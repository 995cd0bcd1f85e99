/** A process with one transport that says where it is, and otherwise just lives. */
import { createLoopbackTransport } from './libp2p-transport.ts'

const transport = await createLoopbackTransport()
await transport.start()
process.send?.({ self: transport.self, addresses: transport.addresses() })
process.on('disconnect', () => process.exit())
