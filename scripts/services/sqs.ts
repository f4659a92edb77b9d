import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../postgres.ts'
import type { Service } from './service.ts'

const elasticmqVersion = '1.7.1'

/** Near to Amazon SQS in what queues do: order in a group, batches, failures of single entries. From Maven Central; needs Java 11 and Maven. */
export const elasticmq: Service = {
  async prepare(directory) {
    mkdirSync(directory, { recursive: true })
    const classpath = findJars(directory)
    const settings = join(directory, 'elasticmq.conf')
    const port = await freePort(9_324)
    writeFileSync(settings, elasticmqSettings(directory, port))
    const url = `http://127.0.0.1:${port}`
    return {
      command: 'java',
      args: ['-Xmx512m', `-Dconfig.file=${settings}`, '-cp', classpath, 'org.elasticmq.server.Main'],
      stopSignal: 'SIGTERM',
      exports: { SQS_ENDPOINT: url },
      answers: () => answers(`${url}/?Action=ListQueues`),
    }
  },
}

/** Near to Amazon SQS in its limits. In memory. */
export const fauxqs: Service = {
  async prepare(directory) {
    mkdirSync(directory, { recursive: true })
    const port = await freePort(4_566)
    const url = `http://127.0.0.1:${port}`
    return {
      command: process.execPath,
      args: [join(import.meta.dirname, 'fauxqs-on-loopback.ts'), String(port), directory],
      stopSignal: 'SIGTERM',
      exports: { SQS_LIMITS_ENDPOINT: url },
      answers: () => answers(`${url}/health`),
    }
  },
}

/** The server's jars stay in Maven's own repository, where every directory finds them. */
function findJars(directory: string): string {
  const file = join(directory, `classpath-${elasticmqVersion}`)
  if (!existsSync(file)) {
    const pom = join(directory, 'pom.xml')
    writeFileSync(
      pom,
      `<project><modelVersion>4.0.0</modelVersion><groupId>headwater</groupId><artifactId>elasticmq</artifactId><version>1</version>
<dependencies><dependency><groupId>org.elasticmq</groupId><artifactId>elasticmq-server_2.13</artifactId><version>${elasticmqVersion}</version></dependency></dependencies></project>`,
    )
    const goal = ['dependency:build-classpath', '-DincludeScope=runtime', `-Dmdep.outputFile=${file}`]
    execFileSync('mvn', ['-q', '-B', '-f', pom, ...goal], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return readFileSync(file, 'utf8').trim()
}

/** With its defaults the store writes half a second late, and loses confirmed messages when the server is killed. */
const elasticmqSettings = (directory: string, port: number): string => `
pekko.http.server.parsing.illegal-header-warnings = off
pekko.http.server.request-timeout = 40s
node-address { protocol = http, host = "127.0.0.1", port = ${port}, context-path = "" }
rest-sqs { enabled = true, bind-hostname = "127.0.0.1", bind-port = ${port}, sqs-limits = strict }
rest-stats { enabled = false, bind-hostname = "127.0.0.1", bind-port = 9325 }
generate-node-address = false
queues {}
queues-storage { enabled = true, path = "${join(directory, 'queues.conf')}" }
messages-storage {
  enabled = true
  driver-class = "org.h2.Driver"
  uri = "jdbc:h2:${join(directory, 'messages')};WRITE_DELAY=0"
  username = ""
  password = ""
  prune-data-on-init = false
}
aws { region = us-east-1, accountId = 000000000000 }
`

async function answers(url: string): Promise<void> {
  const response = await fetch(url, { signal: AbortSignal.timeout(2_000) })
  await response.body?.cancel()
  if (!response.ok) throw new Error(`${url}: ${response.status}`)
}
