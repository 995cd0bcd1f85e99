/**
 * Runs a script of this repository on its own Node.js, whatever the host has (Node.js 20 or newer and npm):
 * `node cli/bootstrap.mjs <script> [arguments]`. Installs the npm packages first where they are missing or are not those
 * of package-lock.json; without a script that is all it does. No dependencies: it must run before there are any.
 */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..')
const ownNode = path.join(root, 'node_modules/node/bin/node')

/** @param {string} text */
const say = (text) => process.stderr.write(`bootstrap: ${text}\n`)

/**
 * The packages of a lock file by path; undefined where there is none.
 * @param {string} file
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean, devOptional?: boolean, peer?: boolean }> | undefined}
 */
function lockedPackages(file) {
  try {
    return JSON.parse(readFileSync(path.join(root, file), 'utf8')).packages
  } catch {
    return undefined
  }
}

const wanted = lockedPackages('package-lock.json') ?? {}

/** Why the installed packages are not those that are wanted; undefined where they are. */
function whyInstall() {
  const installed = lockedPackages('node_modules/.package-lock.json')
  if (installed === undefined) return 'node_modules is missing or incomplete'
  const paths = new Set([...Object.keys(wanted), ...Object.keys(installed)])
  const different = [...paths].find((name) => name !== '' && !sameInstalled(wanted[name], installed[name]))
  return different === undefined ? undefined : `${different} is not as package-lock.json has it`
}

/**
 * Packages for other platforms and optional peers may be absent.
 * @param {{ version?: string, integrity?: string, optional?: boolean, devOptional?: boolean, peer?: boolean } | undefined} locked
 * @param {{ version?: string, integrity?: string } | undefined} installed
 */
function sameInstalled(locked, installed) {
  if (locked === undefined) return false
  if (installed === undefined) return Boolean(locked.optional || locked.devOptional || locked.peer)
  return locked.version === installed.version && locked.integrity === installed.integrity
}

/** @param {string[]} args */
function npm(args) {
  const cli = process.env.npm_execpath
  const [command, before] = cli === undefined ? ['npm', []] : [process.execPath, [cli]]
  say(`npm ${args.join(' ')}`)
  // npm's output is no part of what the script prints.
  const { status, error } = spawnSync(command, [...before, ...args], { cwd: root, stdio: ['ignore', 2, 2] })
  if (status === 0) return
  say(error === undefined ? `npm failed with exit code ${status}` : `npm can not be run: ${error.message}`)
  process.exit(1)
}

function ownNodeWorks() {
  const { stdout } = spawnSync(ownNode, ['--version'], { encoding: 'utf8' })
  return stdout?.trim() === `v${wanted['node_modules/node']?.version}`
}

function install() {
  const why = whyInstall()
  if (why !== undefined) {
    say(`${why}; installing the npm packages, which takes about a minute`)
    // npm runs on the host's Node.js, and would warn of each package that wants the newer one, on which we run it.
    npm(['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'])
  }
  if (ownNodeWorks()) return
  say('Node.js of package-lock.json is not there yet: its install script did not run')
  npm(['rebuild', 'node', '--ignore-scripts=false'])
  if (ownNodeWorks()) return
  say(`${ownNode} still does not run; remove node_modules and try again`)
  process.exit(1)
}

/** @param {string[]} args */
function run(args) {
  const bin = path.join(root, 'node_modules/.bin')
  const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` }
  const child = spawn(ownNode, args, { cwd: root, stdio: 'inherit', env })
  // A terminal sends its own signals to the child as well: passing SIGINT on would count as a second Ctrl-C.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  process.on('SIGHUP', () => process.stdin.isTTY || child.kill('SIGHUP'))
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
}

install()
const [script, ...args] = process.argv.slice(2)
if (script !== undefined) run([path.resolve(root, script), ...args])
