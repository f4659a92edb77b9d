/** For the command line: `npm run headwater -- projection verify declarations --app examples/expenses/headwater.config.ts --storage sqlite:expenses.db`. */
export { expenses as service } from './expenses.ts'
