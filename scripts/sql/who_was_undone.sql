-- Whom a rollback hit, from the file of the plugin `history`, as CSV to send on:
--   python scripts/ask_history.py HISTORY who_was_undone --reorg 1
-- or, the same, with the program sqlite3:
--   sqlite3 -readonly -cmd '.parameter set :reorg 1' HISTORY < scripts/sql/who_was_undone.sql
-- It writes undone-accounts.csv, undone-fills.csv, undone-orders.csv and undone-transfers.csv into
-- the present folder. An order counts that was opened, filled or closed in the blocks that went: one
-- that traded at once and never rested is in no event but its fills.
.mode csv
.headers on

.once undone-accounts.csv
SELECT account,
       sum(kind = 'Fill') AS fills,
       count(DISTINCT order_id) AS orders,
       sum(kind = 'OrderOpened') AS orders_rested,
       sum(kind = 'LiquidationEnded') AS liquidations,
       sum(kind = 'Credited') AS deposits,
       sum(kind = 'Withdrawn') AS withdrawals,
       sum(kind = 'Transferred') AS transfers
FROM undone_account_history WHERE undone_by = :reorg
GROUP BY account ORDER BY account;

.once undone-fills.csv
SELECT account, height, transaction_hash, order_id, market, side, liquidity,
       price / 1e8 AS price, size / 1e8 AS size, fee / 1e8 AS fee
FROM undone_fills WHERE undone_by = :reorg
ORDER BY account, height, transaction_index, event_index;

.once undone-orders.csv
SELECT account, height, transaction_hash, order_id, market, kind, reason
FROM undone_account_history
WHERE undone_by = :reorg AND kind IN ('OrderOpened', 'OrderClosed')
ORDER BY account, height, transaction_index, event_index;

.once undone-transfers.csv
SELECT account, height, transaction_hash, kind, role, amount / 1e8 AS amount, details
FROM undone_account_history
WHERE undone_by = :reorg AND kind IN ('Transferred', 'Credited', 'Withdrawn')
ORDER BY account, height, transaction_index, event_index;
