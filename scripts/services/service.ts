/** A server for development and tests. Each has its file in this folder and its name in main.ts. */
export interface Service {
  /** Makes `directory` ready, once, and says how to run the server. A later start finds the same directory. */
  prepare(directory: string): Promise<ServerProcess>
}

export interface ServerProcess {
  command: string
  /** Must contain the path of the directory: by it, `stop` knows the process from a stranger that was given the same id. */
  args: string[]
  env?: Record<string, string>
  uid?: number | undefined
  gid?: number | undefined
  stopSignal: NodeJS.Signals
  /** What the server's users need in their environment. */
  exports: Record<string, string>
  /** Resolves when the server answers, rejects when it does not (yet). */
  answers(): Promise<void>
}
