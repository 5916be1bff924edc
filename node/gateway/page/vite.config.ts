/** How the page is bundled: `build.ts` of the tests for the package, and `assets.ts` in a clone. */
import { readFileSync } from 'node:fs'
import { defineConfig, type Plugin } from 'vite'

/** Libraries that put their styles into the document themselves: the page's security policy forbids that, so they join the page's own. */
function stylesInOneFile(): Plugin {
  const styles = new Set<string>()
  return {
    name: 'styles-in-one-file',
    // After the one that makes the file.
    enforce: 'post',
    transform(code) {
      const text = /var css_248z = ("(?:[^"\\]|\\.)*");/.exec(code)?.[1]
      if (text === undefined) return undefined
      styles.add(JSON.parse(text))
      return { code: code.replace('styleInject(css_248z);', ''), map: null }
    },
    generateBundle(_options, bundle) {
      for (const file of Object.values(bundle))
        if (file.type === 'asset' && file.fileName.endsWith('.css'))
          file.source = `${file.source}${[...styles].join('')}`
    },
  }
}

/** The reasons of the limits, which stand beside them in the code. */
function reasonsOfLimits(): Plugin {
  const name = 'virtual:reasons'
  return {
    name: 'reasons-of-limits',
    resolveId: (id) => (id === name ? `\0${name}` : undefined),
    load(id) {
      if (id !== `\0${name}`) return undefined
      return `export default ${JSON.stringify(reasonsIn(readFileSync(new URL('../../limits.ts', import.meta.url), 'utf8')))}`
    },
  }
}

/** By name; a comment counts for all that follow it up to the next. */
function reasonsIn(source: string): Record<string, string> {
  const reasons: Record<string, string> = {}
  let reason = ''
  for (const [, comment, name] of source.matchAll(/\/\*\*([\s\S]*?)\*\/|^ {2}(\w+): /gm)) {
    if (comment !== undefined) reason = comment.replace(/\s*\n\s*\*\s*/g, ' ').trim()
    else if (name !== undefined) reasons[name] = reason
  }
  return reasons
}

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  logLevel: 'warn',
  plugins: [stylesInOneFile(), reasonsOfLimits()],
  build: {
    target: 'es2022',
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
})
