/** `npm run image`: the build context of image/Dockerfile, and, with --output, the image itself. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Command } from 'commander'
import description from '../package.json' with { type: 'json' }
import { buildImage, type ImageOptions, makeContext, makeLocalBases, pushImage, thisPlatform } from './image.ts'

interface Flags extends Pick<ImageOptions, 'base' | 'node'> {
  readonly context: string
  readonly output?: string
  readonly platform: string
  readonly localBase?: true
}

const program = new Command('npm run image --')
  .description(
    'Makes the image of Shoal, the same one from the same sources and SOURCE_DATE_EPOCH (default: the commit)',
  )
  .option('--context <directory>', 'where the build context goes, for whatever builder', 'dist/image')
  .option('--output <target>', 'build with buildah, and write to oci:<directory>:<tag> or docker://<repository>:<tag>')
  .option('--platform <list>', 'for which platforms', thisPlatform)
  .option('--base <image>', 'what the image stands on, in place of the one that image/Dockerfile names')
  .option('--node <image>', 'where Node.js comes from, in place of the one that image/Dockerfile names')
  .option(
    '--local-base',
    "both from this machine's own files, where no image can be pulled; for this machine's platform",
  )
  .action(make)
try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`image: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}

async function make({ context, output, platform, localBase, ...bases }: Flags): Promise<void> {
  const createdS = Number(process.env['SOURCE_DATE_EPOCH'] ?? execFileSync('git', ['log', '-1', '--format=%ct']))
  await makeContext(context, { createdS })
  if (output === undefined) return
  const storage = await mkdtemp(path.join(tmpdir(), 'shoal-image-'))
  try {
    const builder = { storage, createdS }
    const given = localBase ? await makeLocalBases(builder) : bases
    const { version } = description
    await buildImage(builder, context, { name: 'localhost/shoal', version, platforms: platform.split(','), ...given })
    await pushImage(builder, 'localhost/shoal', output)
  } finally {
    await rm(storage, { recursive: true, force: true })
  }
}
