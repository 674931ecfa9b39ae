-- Whom a rollback hit, from the file of the plugin `history`, as CSV to send on:
--   python scripts/ask_history.py HISTORY who_was_undone --reorg 1
-- or, the same, with the program sqlite3:
--   sqlite3 -readonly -cmd '.parameter set :reorg 1' HISTORY < scripts/sql/who_was_undone.sql
-- It writes undone-accounts.csv, undone-fills.csv and undone-orders.csv into the present folder.
.mode csv
.headers on

.once undone-accounts.csv
SELECT account,
       sum(kind = 'Fill') AS fills,
       sum(kind = 'OrderOpened') AS orders_opened,
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
