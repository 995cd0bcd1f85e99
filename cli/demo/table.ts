/** What the demo shows while it runs: one line per node, redrawn in place on a terminal. */
import { MiB } from '../../core/units.ts'

export interface NodeView {
  readonly name: string
  readonly pulledBytes: number
  readonly totalBytes: number
  readonly bytesPerSecond: number
  /** What the agent of this node has received so far. */
  readonly originBytes: number
  readonly peerBytes: number
  readonly state: 'waiting' | 'pulling' | 'verified' | 'failed'
}

const barWidth = 24

export function tableLines(nodes: readonly NodeView[], elapsedSeconds: number): string[] {
  const head = `${'node'.padEnd(8)} ${'progress'.padEnd(barWidth + 7)} ${right('MB/s', 8)} ${right('from origin', 13)} ${right('from peers', 13)}`
  return [head, ...nodes.map(nodeLine), `${elapsedSeconds.toFixed(1)} s`]
}

/** For logs and pipes: everything of the moment in one line. */
export function plainLine(nodes: readonly NodeView[], elapsedSeconds: number): string {
  const shares = nodes.map((node) => `${node.name} ${percent(node)} %${node.state === 'verified' ? ' ok' : ''}`)
  return `${elapsedSeconds.toFixed(1).padStart(5)} s  ${shares.join('  ')}`
}

/** Draws over what it drew before. */
export function createScreen(output: NodeJS.WriteStream): (lines: readonly string[]) => void {
  let drawn = 0
  return (lines) => {
    const up = drawn > 0 ? `\u001B[${drawn}A` : ''
    output.write(up + lines.map((line) => `\u001B[2K${line.slice(0, output.columns)}\n`).join(''))
    drawn = lines.length
  }
}

export function megabytes(bytes: number): string {
  return `${(bytes / MiB).toFixed(1)} MiB`
}

function nodeLine(node: NodeView): string {
  const filled = Math.round((percent(node) / 100) * barWidth)
  const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
  const rate =
    node.state === 'pulling' ? (node.bytesPerSecond / 1e6).toFixed(1) : node.state === 'verified' ? 'ok' : node.state
  const progress = `${bar} ${right(`${percent(node)} %`, 6)}`
  return `${node.name.padEnd(8)} ${progress} ${right(rate, 8)} ${right(megabytes(node.originBytes), 13)} ${right(megabytes(node.peerBytes), 13)}`
}

function percent({ pulledBytes, totalBytes }: NodeView): number {
  return totalBytes === 0 ? 0 : Math.floor((pulledBytes / totalBytes) * 100)
}

function right(text: string, width: number): string {
  return text.padStart(width)
}
