/** An agent at its most talkative, through pulls that succeed and pulls that fail: no secret is in what it says or keeps. */
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AgentProcess, agentReady, startAgent, stopAgent } from '../../../cli/demo/agents.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { type Image, makeImage } from '../../../cli/demo/image.ts'
import { pullImage } from '../../../cli/demo/pull.ts'
import { KiB } from '../../../core/units.ts'
import { basic, createAuthorizer, type Credentials } from '../../support/authorizer.ts'
import { lacks } from '../../support/needs.ts'
import { dispatcherTo, type Emulator, startEmulator } from '../../support/registries/emulator.ts'
import { amongRegistries, originFlags } from '../../support/registries/machine.ts'
import { registryRows } from '../../support/registries/rows.ts'
import { repositoryOf } from '../../support/registry-content.ts'
import { createTlsAuthority } from '../../support/tls-authority.ts'

const guardian = createGuardian()

/** Basic at the registry, and Bearer with signed URLs: the two ways in which a secret goes through the agent. */
const rows = registryRows.filter(({ name }) => ['Amazon ECR (private)', 'Docker Hub'].includes(name))

describe.skipIf(lacks('root', 'openssl'))('no secret is', () => {
  let image: Image
  let agent: AgentProcess
  let emulators: Emulator[]
  /** All that was said to anybody who pulled, errors and answers. */
  const heard: string[] = []
  /** Every secret there was: passwords, what `Authorization` makes of them, tokens and signatures. */
  const canaries = new Set<string>()

  beforeAll(async () => {
    const authority = createTlsAuthority(await guardian.directory())
    image = await makeImage({
      directory: await guardian.directory(),
      seed: 'canaries',
      layerSizesBytes: [700 * KiB, 60 * KiB],
    })
    const content = await repositoryOf(image)
    emulators = await Promise.all(
      rows.map((row) => startEmulator(row, { authority, repositories: { [row.repositories.private]: content } })),
    )
    const prefix = await amongRegistries(guardian, emulators, authority.caFile)
    const flags = [...originFlags(emulators, authority.caFile), '--log-level', 'trace']
    agent = await startAgent(guardian, {
      directory: await guardian.directory(),
      seeds: [],
      plainOrigins: [],
      prefix,
      flags,
    })
    await agentReady(agent, 1)
    const dispatcher = dispatcherTo(emulators, await readFile(authority.caFile, 'utf8'))
    for (const emulator of emulators) await pullInAllWays(emulator, (given) => createAuthorizer(given, dispatcher))
    await dispatcher.close()
    for (const { seen } of emulators) for (const { headers, url } of seen) note(headers.authorization, url)
  })
  afterAll(async () => {
    await stopAgent(agent)
    await Promise.all(emulators.map((emulator) => emulator.stop()))
    await guardian.close()
  })

  function note(authorization: string | undefined, url: string): void {
    const [, signature] = /(?:Signature|verify)=([0-9a-f-]{36})$/.exec(url) ?? []
    for (const secret of [authorization?.replace(/^\w+ /, ''), signature])
      if (secret !== undefined) canaries.add(secret)
  }

  type Authorizing = (credentials: Credentials | undefined) => ReturnType<typeof createAuthorizer>

  async function pullInAllWays({ row, ...emulator }: Emulator, authorizing: Authorizing): Promise<void> {
    const { credentials, origin, repositories } = row
    const wrong = { ...credentials, password: `${credentials.password}-wrong` }
    for (const { password, username } of [credentials, wrong]) {
      canaries.add(password)
      canaries.add(basic({ username, password }).slice('Basic '.length))
    }
    const pull = (given: Credentials | undefined, reference = image.tag) =>
      pullImage({
        hosts: [agent.mirror],
        origin,
        repository: repositories.private,
        reference,
        authorize: authorizing(given),
      }).then(
        () => heard.push('pulled'),
        (error: Error) => heard.push(String(error.stack)),
      )
    for (const given of [undefined, wrong, credentials]) await pull(given)
    await pull(credentials, 'missing')
    emulator.expireSignedUrls(3)
    emulator.limit(0)
    await pull(credentials, 'limited')
    await emulator.stop()
    await pull(credentials, 'down')
  }

  test('missing from what is looked for: all was tried, and the right pulls succeeded', () => {
    expect(heard).toHaveLength(6 * rows.length)
    expect(heard.filter((text) => text === 'pulled')).toHaveLength(rows.length)
    expect(canaries.size).toBeGreaterThan(10)
  })

  function leaked(text: string): string[] {
    return [...canaries].filter((canary) => text.includes(canary))
  }

  test('in its log', async () => {
    const log = await readFile(agent.logFile, 'utf8')
    expect(log).toContain('request refused')
    expect(leaked(log)).toEqual([])
  })

  test('in its metrics, or whatever else it shows there', async () => {
    for (const page of ['metrics', 'readyz', 'healthz'])
      expect(leaked(await (await fetch(`${agent.ops}/${page}`)).text())).toEqual([])
  })

  test('in an error or answer that a caller got', () => {
    expect(leaked(heard.join('\n'))).toEqual([])
  })

  test('on its disk, nor on its command line', async () => {
    const directory = path.join(path.dirname(agent.logFile), 'data')
    const entries = await readdir(directory, { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name))
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) expect(leaked(await readFile(file, 'latin1')), file).toEqual([])
    expect(leaked(await readFile(`/proc/${agent.process.pid}/cmdline`, 'latin1'))).toEqual([])
  })
})
