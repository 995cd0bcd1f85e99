/** A DNS server on loopback that answers for A and AAAA, over UDP. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import ipaddr from 'ipaddr.js'

const recordTypes = { ipv4: 1, ipv6: 28 } as const
const headerBytes = 12
const rcodes = { noError: 0, serverFailure: 2, nameError: 3 } as const

export interface DnsServer {
  /** `127.0.0.1:<port>`. */
  readonly address: string
  /** The names it was asked for. */
  readonly asked: readonly string[]
  close(): void
}

/** Addresses by name; of a family in `failing` it gives SERVFAIL. */
export async function startDnsServer(
  names: Readonly<Record<string, readonly string[]>>,
  failing: readonly (keyof typeof recordTypes)[] = [],
): Promise<DnsServer> {
  const asked: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (query, { address, port }) => {
    const { name, type, question } = parseQuestion(query)
    asked.push(name)
    const failed = failing.some((family) => recordTypes[family] === type)
    const known = names[name]
    const records = (known ?? []).map((text) => ipaddr.parse(text)).filter((each) => recordTypes[each.kind()] === type)
    const rcode = failed ? rcodes.serverFailure : known === undefined ? rcodes.nameError : rcodes.noError
    const answers = failed ? [] : records.map((each) => record(type, each.toByteArray()))
    socket.send(Buffer.concat([header(query, rcode, answers.length), question, ...answers]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port }: AddressInfo = socket.address()
  return { address: `127.0.0.1:${port}`, asked, close: () => socket.close() }
}

function parseQuestion(query: Buffer): { name: string; type: number; question: Buffer } {
  const labels: string[] = []
  let at = headerBytes
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const end = at + 1 + 4
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), question: query.subarray(headerBytes, end) }
}

function header(query: Buffer, rcode: number, answers: number): Buffer {
  const bytes = Buffer.alloc(headerBytes)
  query.copy(bytes, 0, 0, 2)
  bytes.writeUInt16BE(0x8180 | rcode, 2)
  bytes.writeUInt16BE(1, 4)
  bytes.writeUInt16BE(answers, 6)
  return bytes
}

function record(type: number, address: readonly number[]): Buffer {
  const bytes = Buffer.alloc(12)
  // The name is that of the question.
  bytes.writeUInt16BE(0xc00c, 0)
  bytes.writeUInt16BE(type, 2)
  bytes.writeUInt16BE(1, 4)
  bytes.writeUInt32BE(5, 6)
  bytes.writeUInt16BE(address.length, 10)
  return Buffer.concat([bytes, Buffer.from(address)])
}
