import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { codeOf, replaceDurably } from '../../agent/kept-file.ts'

test.each([
  ['a code', Object.assign(new Error('no such file'), { code: 'ENOENT' }), 'ENOENT'],
  ['no code', new TypeError('no file'), 'TypeError: no file'],
  // What AbortSignal.timeout rejects with: its code is 23.
  ['a number', new DOMException('aborted', 'TimeoutError'), 'TimeoutError: aborted'],
])('an error with %s', (_what, error, said) => expect(codeOf(error)).toBe(said))

describe('a file that can not be kept leaves no draft, or each restart would leave one more', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'shoal-kept-'))
    onTestFinished(() => rm(directory, { recursive: true }))
  })

  test('where it can not take its place', async () => {
    await mkdir(path.join(directory, 'hosts.toml'))
    await expect(replaceDurably(path.join(directory, 'hosts.toml'), 'text')).rejects.toMatchObject({ code: 'EISDIR' })
    expect(await readdir(directory)).toEqual(['hosts.toml'])
  })

  test.each(['keepOnce', 'replaceDurably'])('where the disk takes no more: %s', async (name) => {
    // No file may grow: what a write meets on a full disk, but for its code.
    const limited = 'ulimit -f 0; exec "$0" --input-type=module --eval "$1" "$2"'
    const module = path.join(import.meta.dirname, '../../agent/kept-file.ts')
    const script = `import { ${name}, codeOf } from ${JSON.stringify(module)}
      await ${name}(process.argv[1], 'text').catch((error) => console.log(codeOf(error)))`
    const words = ['-c', limited, process.execPath, script, path.join(directory, 'identity.pem')]
    expect(await promisify(execFile)('sh', words)).toMatchObject({ stdout: 'EFBIG\n' })
    expect(await readdir(directory)).toEqual([])
  })
})
