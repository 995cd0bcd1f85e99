/** Everything in the repository that derives from one source elsewhere in it; `npm run generate` writes it. */
import { readFileSync } from 'node:fs'
import { configSchema, optionGroups } from '../agent/config.ts'
import { metricTable } from '../agent/metrics.ts'
import { findingCodes, findingTable, severities, type Severity, severityMeanings } from '../core/doctor/findings.ts'
import { errorTable } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { agentJsonSchema, fileOption, liveNote, type OptionView, optionViews, showValue } from './agent-options.ts'
import { chartReadme, valuesSchema } from './chart/chart-files.ts'
import type { DescribedValue } from './chart/values-comments.ts'
import { cleanupSchema, configureSchema } from './configure/configure-options.ts'
import { completeLockFile } from './lock-file.ts'
import { platformPages } from './platform-pages.ts'
import { readRecordedRegistries, type RecordedRegistry } from './recorded-registries.ts'
import { code, notice, table } from './markdown.ts'
import { exitCodes } from './program.ts'

/** Text by path, from the root of the repository. */
export function generatedFiles(root: string): Readonly<Record<string, string>> {
  const values = readFileSync(`${root}/charts/shoal/values.yaml`, 'utf8')
  const chartText = readFileSync(`${root}/charts/shoal/README.md`, 'utf8')
  return {
    'charts/shoal/README.md': chartReadme(chartText, values, valuesTable),
    'charts/shoal/values.schema.json': valuesSchema(values),
    'docs/agent.schema.json': `${JSON.stringify(agentJsonSchema(), null, 2)}\n`,
    'docs/doctor.md': doctorPage(),
    'docs/errors.md': errorsPage(),
    'docs/metrics.md': metricsPage(),
    'docs/options.md': optionsPage(),
    'docs/registries.md': registriesPage(readRecordedRegistries(root)),
    ...platformPages(root),
    'package-lock.json': completeLockFile(readFileSync(`${root}/package-lock.json`, 'utf8')),
  }
}

function optionsPage(): string {
  const views = optionViews(configSchema)
  const groups = optionGroups.flatMap((group) => {
    const ofGroup = views.filter((view) => view.group === group)
    return ofGroup.length === 0 ? [] : [`## ${group}\n\n${optionTable(ofGroup)}\n`]
  })
  return `${notice('agent/config.ts and cli/configure/configure-options.ts')}
# Options of \`shoal agent\`

Each can be given as a flag, as an environment variable or in a YAML or JSON file (${code(fileOption.flag)} or ${code(fileOption.env)};
schema: [agent.schema.json](agent.schema.json)). A flag goes before the environment, that before the file, that before the
default. An option that nobody knows is refused, wherever it stands. Lists are comma-separated, JSON, or the flag given several
times; in a file they are lists. No option holds a secret: secrets are in files, and options name the files.

At SIGHUP a running agent reads the file again and takes over the options that may change, at once and without a restart; it
logs what it did. Where a flag or a variable gives such an option, the file is not heard.

${groups.join('\n')}
## \`shoal configure\`

Given as those above; it reads the agent's config file, for what they have in common.

${optionTable(optionViews(configureSchema))}

## \`shoal cleanup\`

${optionTable(optionViews(cleanupSchema))}

## Exit codes

${table(
  ['Code', 'Meaning'],
  [
    [String(exitCodes.stopped), 'Stopped, all responses ended'],
    [String(exitCodes.failed), 'Failed while it ran, or did not stop within the time that is given'],
    [String(exitCodes.usage), 'Wrong flags, options or secret files; nothing was started'],
    ['128 + n', 'Ended at once by a second signal, whose number is n'],
  ],
)}
`
}

function optionTable(views: readonly OptionView[]): string {
  return table(['Option', 'Meaning', 'Default', 'Example'], views.map(optionRow))
}

function optionRow(view: OptionView): string[] {
  const names = [view.flag, view.env, view.name].map(code).join('<br>')
  const allowed = view.allowed === undefined ? '' : ` (${view.allowed})`
  const secret = view.secretFile === true ? ' Names a file that holds a secret.' : ''
  const live = view.live === true ? ` ${liveNote}` : ''
  const standard = view.default === undefined || view.default === '' ? (view.otherwise ?? 'none') : code(view.default)
  const examples = view.examples.map((example) => code(showValue(example))).join('<br>')
  return [names, `${view.description}${allowed}${secret}${live}`, standard, examples]
}

function valuesTable(values: readonly DescribedValue[]): string {
  const rows = values.map((value) => [
    code(value.path),
    value.description,
    value.default === undefined ? 'below' : code(value.default),
  ])
  return table(['Value', 'Meaning', 'Default'], rows)
}

function metricsPage(): string {
  const rows = Object.entries<{ type: string; help: string; labels: Readonly<Record<string, readonly string[]>> }>(
    metricTable,
  ).map(([name, { type, help, labels }]) => {
    const shown = Object.entries(labels).map(([label, values]) => `${code(label)}: ${labelValues(label, values)}`)
    return [code(name), type, help, shown.join('<br>')]
  })
  return `${notice('agent/metrics.ts')}
# Metrics of the agent

At \`/metrics\` of the ops listener, in the Prometheus text format, beside the usual \`process_*\` and \`nodejs_*\` (memory, CPU,
event-loop lag with the ${limits.eventLoopLookMs} ms between two looks, garbage collection). Label values come from the sets below, or are
\`other\`; no digest, name or address is ever one.

${table(['Metric', 'Type', 'Meaning', 'Labels'], rows)}
`
}

function labelValues(label: string, values: readonly string[]): string {
  if (values === findingCodes) return 'the codes of [doctor.md](doctor.md)'
  return label === 'code' ? 'the codes of [errors.md](errors.md)' : values.join(', ')
}

function errorsPage(): string {
  const rows = Object.entries(errorTable).map(([name, { status, oci, help }]) => [
    code(name),
    String(status),
    code(oci),
    help,
  ])
  return `${notice('core/errors.ts')}
# Errors

The code stands in the log and in \`shoal_errors_total\`; where the error reaches a client over HTTP, it does so with this status
and OCI code.

${table(['Code', 'Status', 'OCI code', 'What to do'], rows)}
`
}

function doctorPage(): string {
  const rows = severities.map((severity) => [code(severity), severityMeanings[severity]])
  return `${notice('core/doctor/findings.ts')}
# What \`shoal doctor\` may find

${code('shoal doctor')} finds out whether this node really pulls through Shoal, more by trying than by reading: it asks the mirror as
\`hosts.toml\` tells containerd to (its CA, its secret), the agent how it is, seeds whether they know the cluster secret and let
links in, registries and their token services whether they answer, and it writes to the data directory. Give it the options that
the agent has (flags, variables or config file), so that it looks where the agent looks, and run it as root on the node: \`hosts.toml\` and containerd's files are for root.

${code('--json')} gives all findings as JSON; the exit code is 0 where none is an error, 1 where one is, 2 for wrong options. Nothing is
left behind, and no secret is shown. What can not be seen is not judged. ${code('--image')} names an image to ask the mirror for, and its
registry for a part of its largest layer.

${table(['Severity', 'Meaning'], rows)}

## In the agent

The agent looks as well, at its start, a minute later and every five minutes, beside its work and never in the way of a pull. It sees what only it
can know (when containerd last asked, which registries send no parts), and of the node what it may read: containerd's configuration and
\`hosts.toml\` only where ${code('shoal configure')} has run. \`hosts.toml\` is for root alone, as it holds this node's secret: an agent without root's rights
goes by a note of what ${code('shoal configure')} wrote (\`hosts-written.json\` in the data directory), sees whether each file is there and still that one, and says
how to write it again with the options that it was written with. It asks no registry for this. What it finds is in its log, in
${code('shoal_doctor_finding')} ([metrics.md](metrics.md)) and in ${code('/readyz')}, as details of the part ${code('doctor')}; that part is not ready before the first look has ended, nor where
no pull of the node can go through Shoal, which is said below. ${code('shoal doctor')} asks the agent too, at ${code('/doctor')} of its ops listener,
which answers to this node alone.

## As Kubernetes Events

An agent that knows its pod (${code('--events-pod')}, which the chart sets unless ${code('events.enabled')} is false) writes what it finds as Events of that pod, which
Kubernetes keeps for an hour:

\`\`\`sh
kubectl --namespace shoal-system describe pod shoal-agent-x2x4k
kubectl --namespace shoal-system get events --field-selector reportingComponent=shoal/agent
kubectl --namespace shoal-system get events --field-selector reason=HostsStale
\`\`\`

The reason is the finding's code as Kubernetes writes such, ${code('HostsStale')} for ${code('HOSTS_STALE')}; the type is Warning, or Normal for severity ${code('info')}; the message says what, why and
the fix, as below. Written is what two looks in a row have found: much is so for a moment while agents start together. What lasts is counted in the same Event, which is written again each half hour, or replaced where what it says has changed. When it
is over, one of type Normal says so, with the reason ${code('HostsStaleResolved')}. Several findings of one code are one Event. An agent that starts anew knows nothing of
the Events before. It writes 25 at once at most, and then one in five minutes; where the API does not answer or refuses, that is one line in the log, and is tried
again at the next look.

Why that is on by default: an agent that is not ready is seen by \`kubectl\` first, and kubelet's own Event says only that a probe had 503. What it costs: a token of
the service account in the agent's pod, whose right it is to create and patch Events in this one namespace. Who breaks into an agent could by it write Events there that
are not true, and do no more than every service account may; who is root on the node could so without, as kubelet. \`events.enabled=false\` takes right and token away.

## In the chart

The chart mounts both directories of containerd's, read-only, into the agent's container. So a node that is not set up as it should be has an
agent that is not ready, and says why. That is no reason why a pod there does not start: containerd asks the registry instead. Only the
start-up taint (\`startupTaint.enabled\`), where it is wanted, stays on such a node: who wants it wants no pod started past Shoal, and a
hundred new nodes that are set up wrongly would otherwise all pull from the registry. Warnings, and errors that leave a way
through Shoal, keep no agent from being ready, and no taint on a node.

\`helm test\` waits until every agent is ready, and runs ${code('shoal doctor')} on one node of each pool that the chart configures, as root and with the agent's options. An
error fails it, and the pod \`shoal-doctor\` stays, with what was found in its log. Where containerd imports files from elsewhere than the
directory of its configuration, which is not mounted, doctor says so (${code('CONTAINERD_CONFIG_UNREADABLE')}), and the agent judges none of it.
${code('shoal doctor')} run in a container that has neither directory takes them for missing: it says ${code('CONFIG_PATH_UNSET')} and
${code('HOSTS_MISSING')} there, and ${code('CONTENT_DIR_ELSEWHERE')} where that is not below /var/lib/containerd. An agent there judges neither.

## Findings

In what follows, what stands in braces is this node's own.

${Object.entries<FindingRow>(findingTable).map(findingSection).join('\n')}`
}

type FindingRow = { severity: Severity; blocks?: true; what: string; why: string; fix: string }

function findingSection([name, { severity, blocks, what, why, fix }]: [string, FindingRow]): string {
  const blocking = blocks === true ? ' Meanwhile the agent is not ready.' : ''
  return `### ${name}

_${severity}_: ${what}. ${why}${blocking}

${fix.replaceAll(/(?:^ {4}.*\n?)+/gm, (commands) => `\n\`\`\`sh\n${commands.replaceAll(/^ {4}/gm, '').trimEnd()}\n\`\`\`\n\n`).trimEnd()}
`
}

function registriesPage(registries: readonly RecordedRegistry[]): string {
  return `${notice('test/integration/registries/recorded')}
# Registries

What Shoal is tested against. **Emulated** means: played by test/support/registries as the sources at the end of this page
describe the registry, with its own host names over TLS; the registry itself was not reached. Where a source names no storage
host, the host is from general knowledge. docker-registry 2.8 is **real**: with htpasswd and with a token service of
ours (\`test/integration/agent/pull-secrets.test.ts\`), and open (\`test/integration/upstream/docker-registry.test.ts\`).

Through the whole agent each registry is pulled from, with a secret and, where it shows something to all, without; refuses
a wrong secret and none, cold and warm; sends a range; has a signed URL expire; limits the rate; and what each of its hosts was sent is
looked at: no storage host ever sees an \`Authorization\`. Real containerd pulls from each as well, by CRI with a pull secret and by
\`ctr --user\`, and asks nothing but token services itself (\`test/e2e/registries.test.ts\`).

${table(['Registry', 'Images', 'Challenge', 'Blobs from', 'To configure', 'Tested'], registries.map(registryRow))}

## Requests to the registry

For one image of an index, a manifest, a config and three small layers, pulled by one node that has nothing of it. *First* is the
first pull with a secret (containerd asks for two tokens, one for its resolver and one for its fetcher, where here it is one), *again* the next one with a new token, while nothing has changed. Tokens are asked for by the agent (as nobody) or
by who pulls (with the secret, at the registry's own token service: the agent is not on that way). A blob that is redirected is one
request to the registry and one to its storage.

${table(['Registry', 'Pull', 'HEAD manifest', 'GET manifest', 'GET blob', 'Tokens: agent', 'Tokens: puller'], registries.flatMap(requestRows))}

## What a caller hears who may not read

${table(
  ['Registry', 'Without a secret', 'With a wrong one'],
  registries.map(({ name, refused }) => [name, String(refused.nobody), String(refused.wrongSecret)]),
)}

Over the registry's rate limit it is 503 with \`Retry-After\`, never 429, which containerd would send again five times at once. What is
not there is 404. What Harbor's policy forbids is its own 412 with its own words.

## Tokens that run out in the middle of a layer

The bytes of a blob are fetched by the credential of whoever wants it on this node, the latest first. One that has run out (a token may
say when, as a JWT does; else a 401 does) is not shown again: another one goes on, or other nodes do by theirs. A node without any that
lives asks for no lease, and hands back what it has not begun. When all are spent and nothing has come for two seconds while others
lack some of it, or for ten of what they have, the response of one reader ends early, and the agent answers 401 to who asks for the rest.
containerd 1.7 and later then bring a new token, and the layer goes on through the agent; 1.6 knows only the token that has run out, and
takes the rest of the layer from the registry itself, past the other nodes. Mode \`exchange\` ([access.md](access.md)) and credentials of
the agent's own ([credentials.md](credentials.md)) spare it that. With layers that take
three times as long as tokens live, every pull completes on containerd 1.6, 1.7 and 2.1, and four nodes whose clients bring new
tokens take such an image from the registry about once, and show it no token that has run out:
\`npm test -- --project e2e test/e2e/registries.test.ts -t 'token lives|four nodes'\`, with \`TOKEN_SECONDS=10\` for tokens of ten seconds.

Where containerd 2.1 reads a layer as parallel ranges (\`concurrent_layer_fetch_buffer\`), it gives up a range that hears of an invalid token twice,
or of any 401 six times, and with it the pull. So a range that came with a good token and waits for its
first byte is not told that it has become invalid: it hears 401 when containerd knows that by its own clock. The lowest range gets its
bytes first, and one range at a time is sent for a new token, while the others go on by that:
\`npm test -- --project e2e test/e2e/registries.test.ts -t 'parallel ranges'\`.

## Sources

${registries.map(sourceList).join('\n\n')}
`
}

function registryRow({ name, origin, scheme, storage, baseUrl }: RecordedRegistry): string[] {
  const configure = baseUrl === undefined ? 'nothing' : code(`origins: [{ host: ${origin}, baseUrl: ${baseUrl} }]`)
  return [name, code(origin), scheme === 'basic' ? 'Basic' : 'Bearer', storage ?? 'the registry', configure, 'emulated']
}

function requestRows({ name, open, private: first, again }: RecordedRegistry): string[][] {
  const pulls = { 'open to all': open, first, again }
  return Object.entries(pulls).flatMap(([pull, counts]) => {
    if (counts === undefined) return []
    const kinds = ['HEAD manifest', 'GET manifest', 'GET blob', 'token', 'caller: token']
    return [[name, pull, ...kinds.map((kind) => String(counts[kind] ?? 0))]]
  })
}

function sourceList({ name, sources }: RecordedRegistry): string {
  return [`**${name}**`, '', ...Object.entries(sources).map(([fact, where]) => `- ${fact}: <${where}>`)].join('\n')
}
