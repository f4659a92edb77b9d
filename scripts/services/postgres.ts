import pg from 'pg'
import { freePort, prepareCluster } from '../postgres.ts'
import type { Service } from './service.ts'

export const postgres: Service = {
  async prepare(directory) {
    const { url, ...server } = prepareCluster(directory, await freePort(54_320))
    return {
      ...server,
      stopSignal: 'SIGINT', // its fast shutdown
      exports: { DATABASE_URL: url },
      async answers() {
        const client = new pg.Client(url)
        await client.connect()
        await client.end()
      },
    }
  },
}
