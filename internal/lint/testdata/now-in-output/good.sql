SELECT id, 'now()' AS text, current_user AS builder, age(day, booked) AS since, o.now, 'now' AS word, date_trunc('month', day) AS month
FROM orders o -- now()
