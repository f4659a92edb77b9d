export { encodeCondition, encodeField, wordsOf } from '../storage/field.ts'
