/** What the cluster listener takes and refuses, on real sockets. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import type { ClientRequest, IncomingMessage, RequestListener } from 'node:http'
import { connect, createServer as createTcpServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createClusterClient } from '../../../agent/cluster/client.ts'
import { createEpochs, randomToken } from '../../../agent/cluster/epochs.ts'
import {
  headerNames,
  readAnswerHeaders,
  readMacHeaders,
  writeAnswerHeaders,
  writeMacHeaders,
} from '../../../agent/cluster/headers.ts'
import { answerMac, anyMember, hashOf, macKeysOf, requestMac } from '../../../agent/cluster/mac.ts'
import type { AnswerFields, MacKeys, RequestFields } from '../../../agent/cluster/mac.ts'
import { createClusterServer, routeOf } from '../../../agent/cluster/server.ts'
import { announceCall, contentCall, exchangeCall, possessionCall } from '../../../agent/cluster/wire.ts'
import { createIdentity } from '../../../agent/identity/identity.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { portOf } from '../../../agent/system/port-of.ts'
import { digestFromHex } from '../../../core/oci/digest.ts'
import type { AnnounceRequest } from '../../../core/directory/messages.ts'
import type { ExchangeRequest, MemberRecord } from '../../../core/members/messages.ts'
import { limits } from '../../../core/limits.ts'
import type { Clock, PeerId } from '../../../core/ports.ts'
import { headersBytes } from '../../sim/wire-size.ts'
import { until } from '../../support/until.ts'

const server = createIdentity().peer
const caller = createIdentity().peer
const stranger = createIdentity().peer
const current = randomBytes(32)
const previous = randomBytes(32)
const outside = randomBytes(32)
const keys = macKeysOf({ current })

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

function recordOf(peer: PeerId): MemberRecord {
  return { peer, addresses: [], cluster: '127.0.0.1:5052', incarnation: 1, life: 1, state: 'alive' }
}

function exchangeFrom(peer: PeerId): ExchangeRequest {
  return {
    from: recordOf(peer),
    hash: 'A'.repeat(22),
    news: [],
    accusations: [],
    vouched: [],
    compare: false,
    want: [],
  }
}

const announceFrom = (peer: PeerId): AnnounceRequest => ({ from: { peer, addresses: [] }, items: [] })

/** Several slices (agent/system/awake-timer.ts). */
const heldUpMs = 5 * limits.awakeSliceMs

interface Listener {
  readonly cluster: string
  readonly port: number
  /** Requests that got through to the machines. */
  readonly heard: string[]
}

async function listen(options: { keys?: MacKeys; clock?: Clock; self?: PeerId } = {}): Promise<Listener> {
  const self = options.self ?? server
  const heard: string[] = []
  const exchangeRoute = routeOf(
    exchangeCall,
    { byAddress: true, inTurn: () => false },
    ({ from }) => from.peer,
    ({ from }) => {
      heard.push(`exchange ${from.peer}`)
      return { from: recordOf(self), hash: 'B'.repeat(22), news: [] }
    },
  )
  const announceRoute = routeOf(
    announceCall,
    { byAddress: false, inTurn: () => true },
    ({ from }) => from.peer,
    ({ from }) => {
      heard.push(`announce ${from.peer}`)
      return { items: [] }
    },
  )
  const possessionRoute = routeOf(
    possessionCall,
    { byAddress: false, inTurn: () => true },
    ({ from }) => from,
    ({ asks }) => {
      heard.push('possession')
      return { known: asks === undefined ? [] : [{ fact: asks.fact, ageMs: 1 }] }
    },
  )
  const listener = createClusterServer({
    clock: options.clock ?? systemClock,
    self,
    keys: options.keys ?? keys,
    routes: [exchangeRoute, announceRoute, possessionRoute],
  })
  const { port } = await listener.listen({ host: '127.0.0.1', port: 0 })
  closers.push(() => listener.close())
  return { cluster: `127.0.0.1:${port}`, port, heard }
}

function client(withKeys = keys): ReturnType<typeof createClusterClient> {
  const made = createClusterClient({ self: caller, keys: withKeys })
  closers.push(async () => made.close())
  return made
}

interface Raw {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

async function send(
  port: number,
  path: string,
  headers: Record<string, string>,
  body: Buffer,
  method = 'POST',
): Promise<Raw> {
  const request = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false })
  request.end(body)
  const [response]: IncomingMessage[] = await once(request, 'response')
  let text = ''
  for await (const part of response!) text += String(part)
  return { status: response!.statusCode ?? 0, headers: response!.headers, body: text }
}

interface Forged {
  readonly fields: RequestFields
  readonly body: Buffer
  /** Sent instead of what the MAC covers. */
  readonly tampered?: Partial<RequestFields> & { readonly body?: Buffer }
}

async function sendForged(port: number, { fields, body, tampered = {} }: Forged): Promise<Raw> {
  const mac = requestMac(keys[0], fields)
  const sent = { ...fields, ...tampered }
  const headers = writeMacHeaders({ key: keys[0].id, ...sent, mac })
  return send(port, sent.path, headers, tampered.body ?? body, sent.method)
}

function fieldsFor(body: Buffer, epoch: string, change: Partial<RequestFields> = {}): RequestFields {
  const covered = { method: 'POST', path: exchangeCall.path, from: caller, to: server }
  return { ...covered, nonce: randomToken(), epoch, bodyHash: hashOf(body), ...change }
}

const body = exchangeCall.writeRequest(exchangeFrom(caller))

/** The token of the listener now, as an authentic but stale request learns it. */
async function epochOf(port: number): Promise<string> {
  const answer = await sendForged(port, { fields: fieldsFor(body, ''), body })
  expect(answer.status).toBe(401)
  return readAnswerHeaders(answer.headers)?.epoch ?? ''
}

function expectBare(answer: Raw, status: number): void {
  expect(answer.status).toBe(status)
  expect(answer.body).toBe('')
  expect(Object.keys(answer.headers).toSorted()).toEqual(['connection', 'content-length'])
}

describe('a member', () => {
  it('is answered, the first time by way of a token, then at once', async () => {
    const { cluster, heard } = await listen()
    const asking = client()
    const answer = await asking.call(exchangeCall, server, cluster, exchangeFrom(caller))
    expect(answer).toEqual({ from: recordOf(server), hash: 'B'.repeat(22), news: [] })
    await asking.call(announceCall, server, cluster, announceFrom(caller))
    expect(heard).toEqual([`exchange ${caller}`, `announce ${caller}`])
  })

  it('that is held up while it waits reads what came meanwhile, and takes nobody for silent', async () => {
    const { cluster } = await listen()
    const asked = client().call({ ...exchangeCall, withinMs: heldUpMs - 1 }, server, cluster, exchangeFrom(caller))
    const endsMs = performance.now() + heldUpMs
    while (performance.now() < endsMs);
    expect(await asked).toMatchObject({ from: recordOf(server) })
  })

  it('that knows an address only may exchange but not announce', async () => {
    const { cluster, heard } = await listen()
    const asking = client()
    await asking.call(exchangeCall, undefined, cluster, exchangeFrom(caller))
    const announcing = asking.call(announceCall, undefined, cluster, announceFrom(caller))
    await expect(announcing).rejects.toMatchObject({ code: 'CLUSTER_MAC_WRONG' })
    expect(heard).toEqual([`exchange ${caller}`])
  })

  it('that takes one for another gets nothing', async () => {
    const { cluster, heard } = await listen()
    const asking = client().call(exchangeCall, stranger, cluster, exchangeFrom(caller))
    await expect(asking).rejects.toMatchObject({ code: 'CLUSTER_MAC_WRONG' })
    expect(heard).toEqual([])
  })

  it('can not speak for another', async () => {
    const { cluster, heard } = await listen()
    const asking = client().call(exchangeCall, server, cluster, exchangeFrom(stranger))
    await expect(asking).rejects.toMatchObject({ code: 'CLUSTER_UNREACHABLE' })
    expect(heard).toEqual([])
  })

  it('goes on when tokens change under way', async () => {
    let nowMs = 0
    const { cluster, heard } = await listen({ clock: { now: () => nowMs } })
    const asking = client()
    for (let minutes = 0; minutes < 5; minutes++) {
      await asking.call(exchangeCall, server, cluster, exchangeFrom(caller))
      nowMs += minutes * 60_000
    }
    expect(heard).toHaveLength(5)
  })

  it('finds a listener that was restarted', async () => {
    const first = await listen()
    const asking = client()
    await asking.call(exchangeCall, server, first.cluster, exchangeFrom(caller))
    await closers.shift()?.()
    const again = createClusterServer({
      clock: systemClock,
      self: server,
      keys,
      routes: [
        routeOf(
          exchangeCall,
          { byAddress: true, inTurn: () => false },
          ({ from }) => from.peer,
          () => ({ from: recordOf(server), hash: 'C'.repeat(22), news: [] }),
        ),
      ],
    })
    await again.listen({ host: '127.0.0.1', port: first.port })
    closers.push(() => again.close())
    const answer = await asking.call(exchangeCall, server, first.cluster, exchangeFrom(caller))
    expect(answer.hash).toBe('C'.repeat(22))
  })
})

describe('a tampered request is refused without a word', () => {
  it.each([
    ['method', { method: 'GET' }, 404],
    ['path', { path: announceCall.path }, 401],
    ['sender', { from: stranger }, 401],
    ['recipient', { to: stranger }, 401],
    ['recipient, made anybody', { to: anyMember }, 401],
    ['nonce', { nonce: randomToken() }, 401],
    ['token', { epoch: randomToken() }, 401],
    ['hash of the body', { bodyHash: hashOf(Buffer.from('other')) }, 401],
    ['body', { body: exchangeCall.writeRequest({ ...exchangeFrom(caller), compare: true }) }, 401],
  ])('%s', async (_what, tampered, status) => {
    const { port, heard } = await listen()
    const epoch = await epochOf(port)
    expectBare(await sendForged(port, { fields: fieldsFor(body, epoch), body, tampered }), status)
    expect(heard).toEqual([])
    const honest = await sendForged(port, { fields: fieldsFor(body, epoch), body })
    expect(honest.status).toBe(200)
  })

  it.each(Object.values(headerNames))('%s missing, doubled or malformed', async (name) => {
    const { port, heard } = await listen()
    const epoch = await epochOf(port)
    const fields = fieldsFor(body, epoch)
    const good = writeMacHeaders({ key: keys[0].id, ...fields, mac: requestMac(keys[0], fields) })
    const { [name]: value, ...without } = good
    expectBare(await send(port, fields.path, without, body), 401)
    expectBare(await send(port, fields.path, { ...good, [name]: `${value}, ${value}` }, body), 401)
    expectBare(await send(port, fields.path, { ...good, [name]: `${value}x` }, body), 401)
    expect(heard).toEqual([])
  })

  it('other paths do not exist', async () => {
    const { port } = await listen()
    const known = exchangeCall.path
    const ofAnotherVersion = known.replace(/\/\d+\//, '/0/')
    expect(ofAnotherVersion).not.toBe(known)
    for (const path of ['/', '/members/exchange', `${known}/`, `${known}?x=1`, `/${known}`, ofAnotherVersion]) {
      const answer = await send(port, path, {}, body)
      expect(answer.status).toBe(404)
      expectBare(answer, 404)
    }
  })
})

describe('a recorded request', () => {
  it('is refused when it comes again', async () => {
    const { port, heard } = await listen()
    const fields = fieldsFor(body, await epochOf(port))
    expect((await sendForged(port, { fields, body })).status).toBe(200)
    expectBare(await sendForged(port, { fields, body }), 401)
    expect(heard).toHaveLength(1)
  })

  it('is refused by another member', async () => {
    const one = await listen()
    const other = await listen({ self: stranger })
    const fields = fieldsFor(body, await epochOf(one.port))
    expectBare(await sendForged(other.port, { fields, body }), 401)
    expect(other.heard).toEqual([])
  })

  it('is refused by any other member when it names none', async () => {
    const one = await listen()
    const other = await listen({ self: stranger })
    const fields = fieldsFor(body, await epochOf(one.port), { to: anyMember })
    const answer = await sendForged(other.port, { fields, body })
    expect(answer.status).toBe(401)
    expect(other.heard).toEqual([])
  })

  it('is refused after a restart, and later than two minutes', async () => {
    let nowMs = 0
    const { port, heard } = await listen({ clock: { now: () => nowMs } })
    const fields = fieldsFor(body, await epochOf(port))
    nowMs = 120_000
    expect((await sendForged(port, { fields, body })).status).toBe(401)
    const old = fieldsFor(body, createEpochs(systemClock).current())
    expect((await sendForged(port, { fields: old, body })).status).toBe(401)
    expect(heard).toEqual([])
  })
})

describe('a secret that is being replaced', () => {
  const both = macKeysOf({ current, previous })
  const old = macKeysOf({ current: previous })
  const swapped = macKeysOf({ current: previous, previous: current })

  it.each([
    ['new asks old', both, old],
    ['old asks new', old, both],
    ['new asks new', both, both],
    ['one asks another that is a step behind', both, swapped],
    ['one asks another that is a step ahead', swapped, both],
    ['new alone asks both', keys, both],
    ['both ask new alone', swapped, keys],
  ])('%s', async (_what, asking, listening) => {
    const { cluster, heard } = await listen({ keys: listening })
    const made = client(asking)
    await made.call(exchangeCall, server, cluster, exchangeFrom(caller))
    await made.call(announceCall, server, cluster, announceFrom(caller))
    expect(heard).toHaveLength(2)
  })

  it('no longer admits who has only the old one', async () => {
    const { cluster, heard } = await listen()
    const asking = client(old).call(exchangeCall, server, cluster, exchangeFrom(caller))
    await expect(asking).rejects.toMatchObject({ code: 'CLUSTER_MAC_WRONG' })
    expect(heard).toEqual([])
  })
})

describe('an outsider', () => {
  it('is not admitted', async () => {
    const { cluster, heard } = await listen()
    const asking = client(macKeysOf({ current: outside })).call(exchangeCall, undefined, cluster, exchangeFrom(caller))
    await expect(asking).rejects.toMatchObject({ code: 'CLUSTER_MAC_WRONG' })
    expect(heard).toEqual([])
  })

  it('has no large body read', async () => {
    const { port } = await listen()
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`POST ${exchangeCall.path} HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n`)
    const [head]: Buffer[] = await once(socket, 'data')
    expect(head?.toString()).toMatch(/^HTTP\/1\.1 401 /)
    socket.destroy()
  })

  it('that listens where a member should is found out', async () => {
    for (const evil of impostors()) {
      const asking = client().call(exchangeCall, server, await listenAs(evil), exchangeFrom(caller))
      await expect(asking).rejects.toMatchObject({ code: 'CLUSTER_MAC_WRONG' })
    }
  })
})

/** Somebody else's listener. */
async function listenAs(answer: RequestListener): Promise<string> {
  const listener = createServer(answer).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  closers.push(async () => {
    listener.close()
    listener.closeAllConnections()
  })
  return `127.0.0.1:${portOf(listener.address())}`
}

/** Listeners that answer: bare, with a MAC of another key, with one over another field, or with the answer to another request. */
function impostors(): RequestListener[] {
  const reply = exchangeCall.writeAnswer({ from: recordOf(server), hash: 'E'.repeat(22), news: [] })
  const answering =
    (by: {
      readonly key?: MacKeys[0]
      readonly covered?: Partial<AnswerFields>
      readonly epoch?: string
      readonly status?: number
    }): RequestListener =>
    (request, response) => {
      const requestMacOf = readMacHeaders(request.headers)?.mac ?? ''
      const fields = { status: 200, requestMac: requestMacOf, epoch: randomToken(), bodyHash: hashOf(reply) }
      const mac = answerMac(by.key ?? keys[0], { ...fields, ...by.covered })
      response.writeHead(by.status ?? 200, writeAnswerHeaders({ epoch: by.epoch ?? fields.epoch, mac }))
      response.end(reply)
    }
  const [foreign] = macKeysOf({ current: outside })
  return [
    (_request, response) => void response.end(reply),
    answering({ key: foreign }),
    answering({ covered: { requestMac: hashOf(Buffer.from('other')) } }),
    answering({ epoch: randomToken() }),
    answering({ covered: { bodyHash: hashOf(Buffer.from('other')) } }),
    answering({ status: 401 }),
  ]
}

describe('a call', () => {
  it('has headers of the weight that the simulator takes', async () => {
    const { port } = await listen()
    const { cluster, overheard } = await listenBetween(port)
    const asking = client()
    await asking.call(announceCall, server, cluster, announceFrom(caller))
    const before = overheard().length
    await asking.call(announceCall, server, cluster, announceFrom(caller))
    const bodies =
      announceCall.writeRequest(announceFrom(caller)).length + announceCall.writeAnswer({ items: [] }).length
    const told = overheard().length - before - bodies
    expect(Math.abs(told - headersBytes)).toBeLessThan(headersBytes / 20)
  })
})

describe('a call whose answer stays away', () => {
  const halves: [string, RequestListener][] = [
    ['wholly', () => {}],
    ['halfway', (_request, response) => void response.writeHead(200, { 'content-length': 10 }).write('half')],
  ]

  it.each(halves)('%s ends when its time is over', async (_, listener) => {
    const cluster = await listenAs(listener)
    const asking = client().call({ ...exchangeCall, withinMs: 50 }, server, cluster, exchangeFrom(caller))
    await expect(asking).rejects.toMatchObject({
      code: 'CLUSTER_UNREACHABLE',
      cause: { message: 'no answer came in time' },
    })
  })

  it.each(halves)('%s ends with its client', async (_, listener) => {
    const asked = Promise.withResolvers<void>()
    const cluster = await listenAs((request, response) => {
      listener(request, response)
      asked.resolve()
    })
    const asker = client()
    const asking = asker.call(exchangeCall, server, cluster, exchangeFrom(caller))
    void asked.promise.then(() => asker.close())
    await expect(asking).rejects.toMatchObject({
      code: 'CLUSTER_UNREACHABLE',
      cause: { message: 'the client was closed' },
    })
  })
})

it('a call to what is no address fails as to one where nobody is', async () => {
  const asking = client().call(exchangeCall, server, 'no address:5052', exchangeFrom(caller))
  await expect(asking).rejects.toMatchObject({ code: 'CLUSTER_UNREACHABLE' })
})

describe('what is too large', () => {
  it('is not taken for an answer', async () => {
    const cluster = await listenAs((_request, response) => response.end(Buffer.alloc(limits.clusterAnswerMaxBytes + 1)))
    const asking = client().call(exchangeCall, server, cluster, exchangeFrom(caller))
    await expect(asking).rejects.toMatchObject({ cause: { message: 'its answer is too large' } })
  })

  it('is refused though its sender is a member', async () => {
    const { port, heard } = await listen()
    const epoch = await epochOf(port)
    const large = Buffer.alloc(limits.clusterRequestMaxBytes + 1, 0x20)
    const answer = await sendForged(port, { fields: fieldsFor(large, epoch), body: large }).catch(() => undefined)
    if (answer !== undefined) expectBare(answer, 401)
    expect(heard).toEqual([])
  })
})

async function isWhole(response: IncomingMessage): Promise<boolean> {
  response.on('error', () => {}).resume()
  await new Promise((resolve) => response.once('close', resolve))
  return response.complete
}

describe('an answer', () => {
  const bytes = Buffer.alloc(limits.clusterAnswersMaxBytes / 4 - 1024)
  const digest = digestFromHex('ab'.repeat(32))
  const asked = contentCall.writeRequest({ from: caller, digest })

  async function listenWithContent(answered = Promise.resolve()): Promise<number> {
    heard = 0
    const route = routeOf(
      contentCall,
      { byAddress: false, inTurn: () => false },
      ({ from }) => from,
      async () => {
        heard++
        await answered
        return { kind: 'content' as const, bytes }
      },
    )
    const listener = createClusterServer({ clock: systemClock, self: server, keys, routes: [route] })
    const { port } = await listener.listen({ host: '127.0.0.1', port: 0 })
    closers.push(() => listener.close())
    const stale = await sendForged(port, { fields: fieldsFor(asked, '', { path: contentCall.path }), body: asked })
    epoch = readAnswerHeaders(stale.headers)?.epoch ?? ''
    return port
  }
  let epoch = ''
  let heard = 0

  function ask(port: number, localAddress = '127.0.0.1'): ClientRequest {
    const fields = fieldsFor(asked, epoch, { path: contentCall.path })
    const headers = writeMacHeaders({ key: keys[0].id, ...fields, mac: requestMac(keys[0], fields) })
    const to = { host: '127.0.0.1', port, localAddress, path: fields.path }
    const request = httpRequest({ ...to, method: 'POST', headers, agent: false })
    request.on('error', () => {})
    return request.end(asked)
  }

  /** An answer whose head has come, and of which nothing else is read until it is asked for. */
  async function unread(port: number, from?: string): Promise<IncomingMessage> {
    const [response]: IncomingMessage[] = await once(ask(port, from), 'response')
    return response!
  }

  it('that is not taken gives way to later ones, where all such are too much together', async () => {
    const port = await listenWithContent()
    const answers: IncomingMessage[] = []
    for (let count = 0; count < 6; count++) answers.push(await unread(port))
    expect(await Promise.all(answers.map(isWhole))).toEqual([false, false, true, true, true, true])
  })

  it('that is taken slowly stays, whatever others do not take', async () => {
    const port = await listenWithContent()
    const answers = [await unread(port)]
    for (let count = 0; count < 5; count++) answers.push(await unread(port, '127.0.0.2'))
    expect(await Promise.all(answers.map(isWhole))).toEqual([true, false, false, true, true, true])
  })

  it('for which nobody waits any more leaves nothing', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    closers.push(async () => vi.useRealTimers())
    const answered = Promise.withResolvers<void>()
    const port = await listenWithContent(answered.promise)
    const request = ask(port)
    await until(() => heard === 1)
    request.destroy()
    // Heard after that it is gone.
    await send(port, '/', {}, Buffer.alloc(0))
    answered.resolve()
    expect(await isWhole(await unread(port))).toBe(true)
    await until(() => vi.getTimerCount() === 0)
  })

  it('that is not taken in time ends, and one that is taken leaves nothing', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    closers.push(async () => vi.useRealTimers())
    const port = await listenWithContent()
    expect(await isWhole(await unread(port))).toBe(true)
    await until(() => vi.getTimerCount() === 0)
    const response = await unread(port)
    vi.advanceTimersByTime(limits.clusterAnswerMs)
    expect(await isWhole(response)).toBe(false)
  })
})

it('of those that connect from one address the first gives way to who comes', async () => {
  const { port, heard, cluster } = await listen()
  const crowd: Socket[] = []
  for (let count = 0; count <= limits.clusterConnectionsPerHostMax; count++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }).on('error', () => {})
    closers.push(async () => socket.destroy())
    await once(socket, 'connect')
    crowd.push(socket.resume())
  }
  await once(crowd[0]!, 'close')
  await client().call(exchangeCall, server, cluster, exchangeFrom(caller))
  expect(heard).toEqual([`exchange ${caller}`])
  expect(crowd.flatMap(({ closed }, index) => (closed ? [index] : []))).toEqual([0])
})

it('of requests that come slowly no more is kept than all may take, and the first of them give way to who comes', async () => {
  const { cluster, port, heard } = await listen()
  const epoch = await epochOf(port)
  const large = Buffer.alloc(limits.clusterRequestMaxBytes, 0x20)
  const count = limits.clusterBodiesMaxBytes / large.length + 1
  const refused: IncomingMessage[] = []
  const answered = Promise.withResolvers<void>()
  const answers = Array.from({ length: count }, async () => {
    const fields = fieldsFor(large, epoch)
    const headers = writeMacHeaders({ key: keys[0].id, ...fields, mac: requestMac(keys[0], fields) })
    const request = httpRequest({
      host: '127.0.0.1',
      port,
      path: fields.path,
      method: 'POST',
      headers: { ...headers, 'content-length': large.length },
      agent: false,
    })
    request.on('error', () => {})
    request.write(large.subarray(1))
    void answered.promise.then(() => request.end(large.subarray(0, 1)))
    const [response]: IncomingMessage[] = await once(request, 'response')
    if (response!.statusCode === 401) refused.push(response!)
    response!.resume()
    return response!.statusCode
  })
  const asking = client()
  // One of them is too many, and of the others all but eight bytes are taken in the end.
  while (refused.length < 2) await asking.call(exchangeCall, server, cluster, exchangeFrom(caller))
  expect(new Set(heard)).toEqual(new Set([`exchange ${caller}`]))
  answered.resolve()
  // What they say is no exchange.
  const statuses = await Promise.all(answers)
  expect(statuses.filter((status) => status === 401)).toHaveLength(2)
  expect(statuses.filter((status) => status === 400)).toHaveLength(count - 2)
})

it('says that nobody listens', async () => {
  const { cluster } = await listen()
  await closers.shift()?.()
  const asking = client().call(exchangeCall, server, cluster, exchangeFrom(caller))
  await expect(asking).rejects.toMatchObject({ code: 'CLUSTER_UNREACHABLE', cause: { code: 'ECONNREFUSED' } })
})

describe('what names repositories', () => {
  const fact = { kind: 'has', origin: 'registry.example', repository: 'secret/plans' } as const
  const question = { from: caller, digest: digestFromHex('ab'.repeat(32)), asks: { fact, claims: true }, tells: [] }

  it('is read by the two who talk, and not on the way', async () => {
    const { port } = await listen({ keys: macKeysOf({ current: previous, previous: current }) })
    const { cluster, overheard } = await listenBetween(port)
    const asking = client(macKeysOf({ current }))
    expect(await asking.call(possessionCall, server, cluster, question)).toEqual({ known: [{ fact, ageMs: 1 }] })
    expect(overheard()).toContain(possessionCall.path)
    for (const word of [fact.repository, fact.origin, question.digest]) expect(overheard()).not.toContain(word)
  })

  it('is not taken in the open, whoever sends it', async () => {
    const { port, heard } = await listen()
    const open = possessionCall.writeRequest(question)
    const fields = fieldsFor(open, await epochOf(port), { path: possessionCall.path })
    expect(await sendForged(port, { fields, body: open })).toMatchObject({ status: 400, body: '' })
    expect(heard).toEqual([])
  })
})

/** A listener on the way to `port`, and what it has heard of both sides, a character a byte. */
async function listenBetween(port: number): Promise<{ cluster: string; overheard: () => string }> {
  const parts: Buffer[] = []
  const between = createTcpServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (bytes: Buffer) => void parts.push(bytes))
      from.on('error', () => to.destroy())
      from.pipe(to)
    }
  })
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
  closers.push(async () => between.close())
  return { cluster: `127.0.0.1:${portOf(between.address())}`, overheard: () => Buffer.concat(parts).toString('latin1') }
}
