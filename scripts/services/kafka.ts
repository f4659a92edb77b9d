import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../postgres.ts'
import type { ServerProcess, Service } from './service.ts'

const kafkaVersion = '4.3.1'

/** One broker that is its own controller (KRaft), as Maven Central has it; needs Java 17 and Maven. */
export const kafka: Service = {
  prepare: (directory) => prepareKafka(directory, { port: 9_092 }),
}

export interface KafkaBroker {
  /** Preferred; another one is taken when it is in use. */
  port?: number
  /** Where the jars are, or are put when they are not there. Default: in the directory. */
  jars?: string
  /** Adds a listener that asks for the password of one user, by PLAIN or SCRAM. */
  login?: { port: number; username: string; password: string }
  /** Adds a listener that is encrypted, with the key of a PKCS12 file. */
  tls?: { port: number; keyStore: string; password: string }
  /** Adds listeners that tell clients to come by another port, at which something passes on to them. */
  lines?: { port: number; advertisedPort: number }[]
  /** Of server.properties, beside those that a single broker for tests needs. */
  settings?: Record<string, string>
}

export async function prepareKafka(directory: string, broker: KafkaBroker = {}): Promise<ServerProcess> {
  const jars = broker.jars ?? join(directory, 'lib')
  if (!existsSync(jars)) fetchJars(jars)

  const port = await freePort(broker.port)
  const data = join(directory, 'data')
  const properties = join(directory, 'server.properties')
  mkdirSync(directory, { recursive: true })
  const settings = { ...singleBroker(data), ...listeners(port, await freePort(), broker), ...broker.settings }
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`)
  writeFileSync(properties, lines.join(''), { mode: 0o600 })

  const classpath = join(jars, '*')
  if (!existsSync(join(data, 'meta.properties'))) format(classpath, properties, broker.login)
  return {
    command: 'java',
    args: ['-Xms128m', '-Xmx512m', '-XX:TieredStopAtLevel=1', '-cp', classpath, 'kafka.Kafka', properties],
    stopSignal: 'SIGTERM',
    exports: { KAFKA_BROKERS: `127.0.0.1:${port}` },
    answers: () => answersApiVersions(port),
  }
}

/** Fetched beside their place and moved there when they are complete, so that an interrupted fetch is not taken for one. */
export function fetchJars(jars: string): void {
  const fetching = `${jars}.fetching`
  mkdirSync(fetching, { recursive: true })
  const pom = join(fetching, 'pom.xml')
  writeFileSync(pom, projectFile([`org.apache.kafka:kafka_2.13:${kafkaVersion}`, 'org.apache.logging.log4j:log4j-slf4j-impl:2.25.4']))
  const goal = ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${fetching}`]
  execFileSync('mvn', goal, { stdio: ['ignore', 'ignore', 'inherit'] })
  rmSync(pom)
  renameSync(fetching, jars)
}

function projectFile(dependencies: string[]): string {
  const elements = dependencies.map((coordinates) => {
    const [group, artifact, version] = coordinates.split(':')
    return `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`
  })
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>headwater</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${elements.join('')}</dependencies></project>\n`
}

/**
 * One copy of everything that a cluster would keep three times, and quick to notice that the broker is back after it was killed: by default it would
 * be fenced off for 9 s. Short sessions are allowed, so that tests need not wait for a dead consumer.
 */
function singleBroker(data: string): Record<string, string> {
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'log.dirs': data,
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '5',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '5',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'broker.session.timeout.ms': '2000',
    'broker.heartbeat.interval.ms': '500',
    'auto.create.topics.enable': 'false',
  }
}

function listeners(port: number, controllerPort: number, { login, tls, lines = [] }: KafkaBroker): Record<string, string> {
  const all = [
    { name: 'PLAINTEXT', protocol: 'PLAINTEXT', port, advertisedPort: port },
    ...(login ? [{ name: 'LOGIN', protocol: 'SASL_PLAINTEXT', port: login.port, advertisedPort: login.port }] : []),
    ...(tls ? [{ name: 'TLS', protocol: 'SSL', port: tls.port, advertisedPort: tls.port }] : []),
    ...lines.map((line, index) => ({ ...line, name: `LINE${index}`, protocol: 'PLAINTEXT' })),
  ]
  const listed = (of: 'port' | 'advertisedPort'): string[] => all.map((listener) => `${listener.name}://127.0.0.1:${listener[of]}`)
  return {
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: [...listed('port'), `CONTROLLER://127.0.0.1:${controllerPort}`].join(','),
    'advertised.listeners': listed('advertisedPort').join(','),
    'listener.security.protocol.map': [...all.map(({ name, protocol }) => `${name}:${protocol}`), 'CONTROLLER:PLAINTEXT'].join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    ...(login && logins(login)),
    ...(tls && {
      'ssl.keystore.type': 'PKCS12',
      'ssl.keystore.location': tls.keyStore,
      'ssl.keystore.password': tls.password,
      'ssl.key.password': tls.password,
    }),
  }
}

function logins({ username, password }: NonNullable<KafkaBroker['login']>): Record<string, string> {
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule'
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule'
  return {
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.login.plain.sasl.jaas.config': `${plain} required user_${username}="${password}";`,
    'listener.name.login.scram-sha-256.sasl.jaas.config': `${scram} required;`,
    'listener.name.login.scram-sha-512.sasl.jaas.config': `${scram} required;`,
  }
}

function format(classpath: string, properties: string, login: KafkaBroker['login']): void {
  const storage = ['-cp', classpath, 'kafka.tools.StorageTool']
  // As `random-uuid` of the same tool makes it, without a start of Java.
  const id = randomBytes(16).toString('base64url')
  const users = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) =>
    login ? ['-S', `${mechanism}=[name=${login.username},password=${login.password}]`] : [],
  )
  execFileSync('java', [...storage, 'format', `--cluster-id=${id}`, '-c', properties, ...users], { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** An ApiVersions request of version 0: the port is open long before the broker answers one. */
function answersApiVersions(port: number): Promise<void> {
  const request = Buffer.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request))
    socket.setTimeout(2_000, () => socket.destroy(new Error('no answer')))
    socket.once('data', () => {
      resolve()
      socket.destroy()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed without an answer')))
  })
}
