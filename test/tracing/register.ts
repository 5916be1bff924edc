/** Loaded with `--import` by a process whose spans are to be seen: each goes to the file in `SPANS`, as a line of JSON. */
import { appendFileSync } from 'node:fs'
import {
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-node'

const exporter: SpanExporter = {
  export(spans: ReadableSpan[], done) {
    for (const span of spans) {
      const { traceId, spanId } = span.spanContext()
      const told = { name: span.name, traceId, spanId, parent: span.parentSpanContext?.spanId }
      appendFileSync(process.env.SPANS ?? '', `${JSON.stringify(told)}\n`)
    }
    done({ code: 0 })
  },
  shutdown: async () => undefined,
}
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register()
