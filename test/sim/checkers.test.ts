import { expect, it } from 'vitest'
import { checkBans } from './checkers.ts'
import { tell } from './story.ts'

it('who bans an honest node is told of, and who bans a liar, or a name that no node has, is not', () => {
  const story = tell({ nodes: 3 })
  const { sim } = story
  story.node(2).behaviour = 'lies'
  story.node(0).counts.bans.push('n2', 'nobody')
  checkBans(sim)
  expect(sim.violations).toEqual([])
  story.node(0).counts.bans.push('n1')
  checkBans(sim)
  expect(sim.violations).toEqual(['0.000 ms: n0: banned n1, which is honest'])
})
